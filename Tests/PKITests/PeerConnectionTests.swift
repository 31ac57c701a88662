import COpenSSL
import PeerNames
import Testing

@testable import PKI

/// How connections ask for certificates, and what resumed sessions keep of them.
@Suite struct PeerConnectionTests {
    private let root: Forge.Made
    private let leaf: Forge.Made

    init() throws {
        let extensions: [Forge.Extension] = [.authority, .signsCertificates]
        root = try Forge.certificate("clients", key: Forge.Key(.p256), days: (-10, 900), serial: 1, extensions)
        leaf = try Forge.certificate(
            "client", key: Forge.Key(.p256), from: root, days: (-1, 30), serial: 2,
            [.endEntity, .signsHandshakes, .forClients, .names("DNS:client.test")])
    }

    private func rules(
        _ lists: [[UInt8]] = [], names: [String] = [], authorities: [Forge.Made] = []
    ) throws -> PeerRules {
        try PeerRules(
            purpose: .client, authorities: [root.der] + authorities.map(\.der),
            lists: lists.map { try RevocationList(der: $0) },
            requiredNames: names.compactMap { PeerNamePattern(hostName: $0) })
    }

    private static let versions: [TLSConnection.Version] = [.v1_2, .v1_3]

    @Test("A client without a certificate is accepted only if none is required", arguments: versions)
    func none(version: TLSConnection.Version) throws {
        let refused = try PeerHandshake.run([], by: rules(), version: version)
        #expect(refused.refusal?.reason == .noCertificate && !refused.outcome.isComplete)
        #expect(refused.refusal?.description == "no certificate was shown")
        let alert = version == .v1_2 ? "sslv3 alert handshake failure" : "tlsv13 alert certificate required"
        #expect(refused.outcome.clientFailure?.reason == alert)
        let taken = try PeerHandshake.run([], by: rules(), version: version, isRequired: false)
        #expect(taken.outcome.isComplete && taken.certificate == nil && taken.refusal == nil)
    }

    @Test("A bad certificate is refused even if none is required", arguments: versions)
    func optional(version: TLSConnection.Version) throws {
        let stranger = try Forge.certificate("x", key: Forge.Key(.p256), serial: 9, [.endEntity])
        let result = try PeerHandshake.run([stranger], by: rules(), version: version, isRequired: false)
        #expect(result.refusal?.reason == .selfSigned && !result.outcome.isComplete)
    }

    @Test("A client gets the names of the accepted CAs", arguments: versions)
    func authorities(version: TLSConnection.Version) throws {
        let other = try Forge.certificate("others", key: Forge.Key(.p256), serial: 3, [.authority])
        let result = try PeerHandshake.run([leaf], by: rules(authorities: [other]), version: version)
        #expect(result.outcome.isComplete && result.authorities == ["CN=clients", "CN=others"])
    }

    @Test("Names of CAs that clients could not read are left out, and certificates are verified", arguments: versions)
    func manyAuthorities(version: TLSConnection.Version) throws {
        let key = try Forge.Key(.p256)
        // Each name has 75 bytes with its length.
        let others = try (0..<900).map { number in
            let name = "\(number)" + String(repeating: "x", count: 60)
            return try Forge.certificate(String(name.prefix(60)), key: key, serial: 9, [.authority])
        }
        for (count, told) in [(200, 201), (210, 0), (900, 0)] {
            let rules = try rules(authorities: Array(others.prefix(count)))
            let result = try PeerHandshake.run([leaf], by: rules, version: version)
            #expect(result.outcome.isComplete && result.authorities.count == told, "\(count)")
            #expect(try PeerHandshake.run([], by: rules, version: version).refusal?.reason == .noCertificate)
        }
    }

    @Test("A client that sends too much in a handshake is cut off, and the reason is known", arguments: versions)
    func size(version: TLSConnection.Version) throws {
        let padding = Forge.Extension.raw(
            CertificateExtension(
                identifier: "1.2.3.4.5", isCritical: false,
                value: DER.octetString([UInt8](repeating: 0, count: PeerTrust.maximumClientBytes))))
        let large = try Forge.certificate(
            "client", key: Forge.Key(.p256), from: root, serial: 4, [.endEntity, padding])
        let result = try PeerHandshake.run([large], by: rules(), version: version)
        #expect(!result.outcome.isComplete && result.outcome.serverFailure?.reason == "excessive message size")
        let words = "the certificate can't be read (more than 32 KiB of certificates were sent)"
        #expect(result.refusal?.reason == .unreadable && result.refusal?.description == words)
    }

    @Test("A resumed session keeps the client's certificate, whose dates are checked again", arguments: versions)
    func resumption(version: TLSConnection.Version) throws {
        let ends = try PeerHandshake.Ends()
        let list = try Forge.list(of: root, revoking: [77], days: (-1, 7))
        let rules = try rules([list], names: ["client.test"])
        let first = try PeerHandshake.run([leaf], by: rules, version: version, ends: ends)
        #expect(first.outcome.isComplete && !first.isResumed)
        let session = try #require(first.session)
        let second = try PeerHandshake.run([leaf], by: rules, version: version, ends: ends, resuming: session)
        #expect(second.outcome.isComplete && second.isResumed && second.certificate == leaf.der)

        let shown = try #require(second.certificate)
        let day: Int64 = 86400
        func verdict(_ rules: PeerRules, days: Int64) throws -> PeerRefusal.Reason? {
            try PeerTrust(rules: rules, now: { testNow }).recheck(leaf: shown, now: testNow + days * day)?.reason
        }
        #expect(try verdict(rules, days: 0) == nil && verdict(rules, days: 6) == nil)
        #expect(try verdict(rules, days: 7) == .listOverdue && verdict(rules, days: 30) == .expired)
        #expect(try verdict(rules, days: -2) == .notYetValid)
        let revoking = try Forge.list(of: root, revoking: [leaf.serial])
        #expect(try verdict(self.rules([revoking]), days: 0) == .revoked)
        #expect(try verdict(self.rules(names: ["other.test"]), days: 0) == .missingName)
        #expect(try PeerTrust(rules: rules, now: { testNow }).recheck(leaf: [1], now: testNow)?.reason == .unreadable)
    }

    @Test(
        "Under changed rules a session is not resumed, and a full handshake applies the new rules", arguments: versions)
    func otherRules(version: TLSConnection.Version) throws {
        let ends = try PeerHandshake.Ends()
        let first = try PeerHandshake.run([leaf], by: rules(), version: version, ends: ends)
        let session = try #require(first.session)
        let list = try Forge.list(of: root, revoking: [leaf.serial])
        let refused = try PeerHandshake.run([leaf], by: rules([list]), version: version, ends: ends, resuming: session)
        #expect(refused.refusal?.reason == .revoked)
        let other = try PeerHandshake.run(
            [leaf], by: rules(names: ["client.test"]), version: version, ends: ends, resuming: session)
        #expect(other.outcome.isComplete && !other.isResumed)
    }

    @Test("On resumption, a revocation list of another CA with the same name has no effect", arguments: versions)
    func twins(version: TLSConnection.Version) throws {
        let twin = try Forge.certificate(
            "clients", key: Forge.Key(.p256), days: (-10, 900), serial: 5, [.authority, .signsCertificates])
        // For a self-signed issuer, OpenSSL adds the key identifier to a list only with `keyid:always`.
        let lists = try [(root, []), (twin, [leaf.serial])].map { issuer, serials in
            try Forge.list(
                of: issuer, revoking: serials, hasKeyIdentifier: false,
                [.text(NID_authority_key_identifier, "keyid:always")])
        }
        let rules = try rules(lists, authorities: [twin])
        let result = try PeerHandshake.run([leaf], by: rules, version: version)
        #expect(result.outcome.isComplete)
        let trust = try PeerTrust(rules: rules, now: { testNow })
        #expect(trust.recheck(leaf: leaf.der, now: testNow) == nil)
    }

    @Test("A client checks a server by its rules and by the requested name", arguments: versions)
    func servers(version: TLSConnection.Version) throws {
        func run(_ name: String, required: String?, purpose: [Forge.Extension]) throws -> PeerRefusal? {
            let made = try Forge.certificate(
                "server", key: root.key, from: root, serial: 6, [.endEntity, .names("DNS:\(name)")] + purpose)
            let rules = try PeerRules(
                purpose: .server, authorities: [root.der],
                requiredNames: required.map { [PeerNamePattern(hostName: $0)].compactMap(\.self) } ?? [])
            let ends = try PeerHandshake.Ends()
            let pair = try TLSPair(ends.client, ends.server, version: version)
            let trust = try PeerTrust(rules: rules, now: { testNow })
            guard pair.client.verify(by: trust) else { return nil }
            let outcome = pair.run { server in Self.serve(made, on: server) }
            #expect((outcome.clientFailure == nil) == outcome.isComplete)
            return outcome.clientFailure.flatMap { pair.client.refusal(after: $0) }
        }
        #expect(try run("server.test", required: nil, purpose: [.forServers]) == nil)
        #expect(try run("server.test", required: "server.test", purpose: [.forServers]) == nil)
        #expect(try run("other.test", required: nil, purpose: [.forServers])?.reason == .wrongHost)
        #expect(try run("server.test", required: "other.test", purpose: [.forServers])?.reason == .missingName)
        #expect(try run("server.test", required: nil, purpose: [.forClients])?.reason == .wrongPurpose)
    }

    private static func serve(_ certificate: Forge.Made, on server: borrowing TLSConnection) -> Bool {
        guard let key = try? certificate.key.privateKey(),
            let credential = try? TLSCredential(chain: [certificate.der], key: key)
        else { return false }
        return server.choose(credential, TLSPolicy(scope: TLSScope("server")))
    }
}
