import COpenSSL
import Testing

@testable import PKI

/// Which chains clients refuse, and whether the fault is in the leaf.
@Suite struct ChainRefusalTests {
    // These are computed: LeakSanitizer does not find what a constant of this enum refers to, and would report it.
    private static var unknown: Forge.Extension { critical("1.2.3.4.5") }
    private static var poison: Forge.Extension { critical("1.3.6.1.4.1.11129.2.4.3") }

    private static func critical(_ identifier: String) -> Forge.Extension {
        .raw(CertificateExtension(identifier: identifier, isCritical: true, value: [0x05, 0x00]))
    }

    private func chain(
        leaf: [Forge.Extension] = [.endEntity, .signsHandshakes, .forServers],
        above: [Forge.Extension] = [.authority, .signsCertificates], days: (Int64, Int64) = (-10, 90)
    ) throws -> CertificateChain {
        let root = try Forge.certificate(
            "root", key: Forge.Key(.p256), days: (-100, 1000), serial: 1, [.authority, .signsCertificates])
        let inter = try Forge.certificate(
            "inter", key: Forge.Key(.p256), from: root, days: days, serial: 2, above)
        let made = try Forge.certificate(
            "leaf", key: Forge.Key(.p256), from: inter, days: (-10, 90), serial: 3, leaf + [.names("DNS:a.test")])
        return try CertificateChain(certificates: [made, inter].map { try Certificate(der: $0.der) })
    }

    @Test("A good chain is accepted, with and without its intermediates")
    func good() throws {
        let chain = try chain()
        #expect(chain.certificates.count == 2 && chain.refusal(at: testNow) == nil)
        #expect(try CertificateChain(certificates: [chain.leaf]).refusal(at: testNow) == nil)
        for leaf: [Forge.Extension] in [[], [.endEntity], [.text(NID_ext_key_usage, "anyExtendedKeyUsage")]] {
            #expect(try self.chain(leaf: leaf).refusal(at: testNow) == nil)
        }
    }

    @Test(
        "A leaf that all clients refuse is distinguished from faults above it",
        arguments: [
            ([.endEntity, .forClients], PeerRefusal.Reason.wrongPurpose), ([.endEntity, unknown], .unknownExtension),
            ([.endEntity, poison], .unknownExtension), ([.endEntity, .signsCertificates], .wrongPurpose),
        ] as [([Forge.Extension], PeerRefusal.Reason)])
    func leaf(_ extensions: [Forge.Extension], _ reason: PeerRefusal.Reason) throws {
        let chain = try chain(leaf: extensions)
        let alone = try CertificateChain(certificates: [chain.leaf])
        for refusal in [chain.refusal(at: testNow), alone.refusal(at: testNow)] {
            #expect(refusal?.reason == reason && refusal?.isOfLeaf == true)
        }
    }

    @Test(
        "A fault above the leaf is not reported as the leaf's",
        arguments: [
            ([.authority, .signsCertificates, .forClients], PeerRefusal.Reason.wrongPurpose),
            ([.authority, .signsCertificates, unknown], .unknownExtension),
            (
                [.authority, .signsCertificates, .text(NID_name_constraints, "critical,permitted;DNS:b.test")],
                .nameConstraint
            ),
            (
                [.authority, .signsCertificates, .text(NID_name_constraints, "critical,excluded;DNS:a.test")],
                .nameConstraint
            ),
        ] as [([Forge.Extension], PeerRefusal.Reason)])
    func above(_ extensions: [Forge.Extension], _ reason: PeerRefusal.Reason) throws {
        let refusal = try chain(above: extensions).refusal(at: testNow)
        #expect(refusal?.reason == reason && refusal?.isOfLeaf == false)
    }

    @Test("An expired or future certificate above the leaf is not reported as the leaf's fault")
    func dates() throws {
        #expect(try chain(days: (-10, -1)).refusal(at: testNow)?.reason == .expired)
        #expect(try chain(days: (1, 10)).refusal(at: testNow)?.reason == .notYetValid)
        #expect(try chain(days: (1, 10)).refusal(at: testNow)?.isOfLeaf == false)
        #expect(try chain(days: (-10, 900)).refusal(at: testNow + 91 * 86400)?.isOfLeaf == true)
    }
}
