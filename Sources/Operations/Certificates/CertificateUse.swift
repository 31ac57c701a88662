import ConfigModel
import Issuers
import PKI
import State

/// A certificate in force, with the hosts that it is for.
package struct CertificateUse {
    package let certificate: StoredCertificate
    /// The hosts whose certificate it is, sorted by domain. Some may be disabled.
    package let hosts: [(name: String, host: Host)]
    /// How it is renewed; nil when nobody renews it.
    package let renewed: ManagedCertificate?
    /// The names of the certificate for which no host has a certificate of its own. Clients that ask for one of them get
    /// this certificate, or another one in force that has the name too.
    package let freeNames: [String]

    package init(of certificate: StoredCertificate, in store: any StateStore) throws(StateError) {
        self.certificate = certificate
        let found = try store.hosts(mentioning: certificate.name).compactMap { name, item in
            Host(record: item.record).map { (name: name, host: $0, record: item.record) }
        }.filter { $0.host.certificateName == certificate.name }
        hosts = found.map { ($0.name, $0.host) }
        let own = found.first { $0.name == certificate.name }
        renewed = own.flatMap { ManagedCertificate($0.host, record: $0.record) } ?? ManagedCertificate(certificate)
        var taken: Set<String> = []
        for (_, item) in try store.hosts(named: certificate.facts.domains) {
            guard let host = Host(record: item.record), host.enabled, let own = host.certificateName,
                try store.number(ofCertificate: own) != nil
            else { continue }
            taken.formUnion(host.names.map(\.text))
        }
        freeNames = certificate.facts.domains.filter { !taken.contains($0) }
    }

    /// The names for which clients would get the fallback certificate if the certificate were deleted: those of
    /// `freeNames` that no other certificate in force has.
    func namesWithoutOther(in store: any StateStore) throws -> [String] {
        try freeNames.filter { name in
            var query = CertificateQuery()
            query.domain = name
            return try store.certificates(query).allSatisfy {
                $0.certificate.name == certificate.name || !$0.certificate.facts.domains.contains(name)
            }
        }
    }

    /// Why some clients refuse the certificate. Each text continues a sentence that begins with the certificate's name.
    /// `chains` must be of the same state.
    package func warnings(_ chains: inout ChainFaults) -> [String] {
        let chain = try? CertificateChain(pem: certificate.chain)
        let authority =
            chain?.leaf.isCA == true ? "is the certificate of a CA: some clients refuse it for a server" : nil
        return [chains.doubt(of: certificate), authority].compactMap(\.self)
    }

    /// The failure for a request to renew the certificate, when nobody renews it.
    var obstacle: OperationFailure {
        if certificate.owner == .api, HostCertificate(record: certificate.record) == nil {
            return OperationFailure(
                .notPossible,
                "the certificate '\(certificate.name)' is not renewed by Aegis: it was uploaded or ordered",
                hint: "upload or order another one, and give it to its hosts")
        }
        let isDisabled = hosts.contains { $0.name == certificate.name && !$0.host.enabled }
        return .notRenewed(certificate.name, certificate.facts, isHostDisabled: isDisabled)
    }
}
