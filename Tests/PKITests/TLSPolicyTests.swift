import PeerNames
import Testing

@testable import PKI

@Suite struct TLSPolicyTests {
    private static func trust(_ names: String...) throws -> PeerTrust {
        let authority = try CertificateAuthority.makeRoot(commonName: "clients", now: testNow)
        let patterns = names.compactMap { PeerNamePattern(hostName: $0) }
        let rules = try PeerRules(
            purpose: .client, authorities: [authority.certificate.der], requiredNames: patterns)
        return try PeerTrust(rules: rules, now: { testNow })
    }

    private static func context(_ policy: TLSPolicy) -> [UInt8] {
        let bytes = policy.sessionContext
        return bytes.indices.map { bytes[$0] }
    }

    @Test("A session is bound to each part of its policy")
    func parts() throws {
        let (one, other) = try (Self.trust("a.test"), Self.trust("b.test"))
        var seen: Set<[UInt8]> = []
        var count = 0
        for scope in ["a", "b"] {
            for version in [TLSConnection.Version.v1_2, .v1_3] {
                let asked = [one, other].flatMap { trust in
                    [false, true].map { ClientAuthentication(trust: trust, isRequired: $0) }
                }
                for clients in [nil] + asked.map(Optional.some) {
                    seen.insert(
                        Self.context(TLSPolicy(scope: TLSScope(scope), leastVersion: version, clients: clients)))
                    count += 1
                }
            }
        }
        #expect(seen.count == count)
    }

    @Test("A session is not resumed after a revocation list has begun or become overdue")
    func turns() throws {
        let key = try Forge.Key(.p256)
        let root = try Forge.certificate(
            "clients", key: key, days: (-10, 900), serial: 1, [.authority, .signsCertificates])
        let lists = try [(-1, 7), (2, 9)].map { days in
            try RevocationList(der: Forge.list(of: root, revoking: [77], days: days))
        }
        func contexts(acceptsOverdue: Bool) throws -> [[UInt8]] {
            let rules = try PeerRules(
                purpose: .client, authorities: [root.der], lists: lists, acceptsOverdueLists: acceptsOverdue)
            return try [0, 1, 2, 6, 7, 8, 9, 10].map { (days: Int64) in
                let trust = try PeerTrust(rules: rules, now: { testNow + days * 86400 })
                return Self.context(
                    TLSPolicy(scope: TLSScope("a"), clients: ClientAuthentication(trust: trust, isRequired: true)))
            }
        }
        // The second list begins, then the first one becomes overdue, then the second one.
        let strict = try contexts(acceptsOverdue: false)
        #expect(strict[0] == strict[1] && strict[2] == strict[3] && strict[4] == strict[5] && strict[6] == strict[7])
        #expect(Set(strict).count == 4)
        #expect(try Set(contexts(acceptsOverdue: true)).count == 2)
    }

    @Test("Equal policies share sessions")
    func equal() throws {
        let trust = try Self.trust("a.test")
        let again = try PeerTrust(rules: trust.rules, now: { testNow })
        let policies = [trust, again].map {
            TLSPolicy(scope: TLSScope("a"), clients: ClientAuthentication(trust: $0, isRequired: true))
        }
        #expect(Self.context(policies[0]) == Self.context(policies[1]))
    }
}
