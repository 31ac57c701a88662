import State
import Testing

@testable import ConfigModel
@testable import Issuers

/// Each kind of issuer has one provider, and each provider has a source of its own in the state.
@Suite struct ProviderTests {
    @Test("Each kind of issuer in the file has a provider", arguments: Issuer.samples)
    func kinds(_ sample: Issuer) {
        let providers = IssuerProviders.all.filter { $0.init(sample) != nil }
        #expect(providers.count == 1, "\(sample.typeName)")
    }

    @Test("The samples contain each kind of issuer")
    func samples() {
        #expect(Set(Issuer.samples.map(\.typeName)) == Set(Issuer.kinds.map { $0.typeName }))
        #expect(IssuerProviders.all.count == Issuer.kinds.count)
    }

    @Test("Each kind of issuer has its own source in records, and none is the operator's")
    func sources() {
        let sources = Set(IssuerProviders.all.map { $0.source })
        #expect(sources.count == IssuerProviders.all.count && !sources.contains(.custom))
        #expect(CertificateFacts.Source.custom.provider == nil)
        #expect(!CertificateFacts.Source.custom.isOrdered && !CertificateFacts.Source.localCA.isOrdered)
        #expect(CertificateFacts.Source.withAdvice == [.letsencrypt])
    }

    @Test("A mount of a Vault counts as one CA for all its roles")
    func mounts() throws {
        func issuer(_ settings: String) throws -> Issuer {
            try #require(Issuer(record: Array(#"{"type":"vault_pki","vault":"main","role":"web"\#(settings)}"#.utf8)))
        }
        let first = try issuer("")
        #expect(first.caID == "vault:main/pki")
        #expect(try issuer(#","ttl":"720h","mount":"/pki/""#).caID == first.caID)
        #expect(try issuer(#","mount":"team/pki""#).caID == "vault:main/team/pki")
        #expect(first.settings.defaultKeyType == .ecdsaP256 && first.settings.vaultName == "main")
    }

    @Test("Issuers of the same ACME CA have the same id, and others have different ids")
    func caIDs() throws {
        let ids = Issuer.samples.map(\.caID)
        #expect(ids.prefix(2) == ["https://ca.test/dir", "https://api.cloudflare.com/client/v4"])
        #expect(Set(ids).count == ids.count)
    }
}

extension Issuer {
    /// An issuer of each kind.
    static let samples: [Issuer] = [
        #"{"type":"acme","directory":"https://ca.test/dir"}"#, #"{"type":"cloudflare_origin"}"#,
        #"{"type":"local_ca"}"#, #"{"type":"vault_pki","vault":"main","role":"web"}"#,
    ].enumerated().compactMap { index, record in
        var issuer = Issuer(record: Array(record.utf8))
        issuer?.name = "issuer-\(index)"
        return issuer
    }
}
