import Foundation
import PeerNames
import Testing

@testable import PKI

/// Which rules are possible, and what operators read about broken rules.
@Suite struct PeerRulesTests {
    private let root: Forge.Made
    private let other: Forge.Made

    init() throws {
        root = try Forge.certificate("root", key: Forge.Key(.p256), serial: 1, [.authority, .signsCertificates])
        other = try Forge.certificate("other", key: Forge.Key(.p256), serial: 2, [.authority, .signsCertificates])
    }

    private func names(_ texts: String...) -> [PeerNamePattern] { texts.compactMap { PeerNamePattern(hostName: $0) } }

    @Test("Equal rules have equal digests, and different rules different ones")
    func digest() throws {
        let lists = try [root, other].map { try RevocationList(der: Forge.list(of: $0, revoking: [7])) }
        let both = [root.der, other.der]
        let a = try PeerRules(
            purpose: .client, authorities: both, lists: lists, requiredNames: names("a.test", "*.b.test"))
        let b = try PeerRules(
            purpose: .client, authorities: both.reversed() + [root.der], lists: lists.reversed(),
            requiredNames: names("*.B.test", "a.test", "a.test"))
        #expect(a.digest == b.digest && a.digest.count == 32)
        let uri = try #require(PeerNamePattern(uri: "spiffe://a.test/b"))
        let address = try #require(PeerNamePattern(address: "10.0.0.5"))
        let all = try [
            a.digest,
            PeerRules(purpose: .server, authorities: both).digest,
            PeerRules(purpose: .client, authorities: both).digest,
            PeerRules(purpose: .client, authorities: [root.der]).digest,
            PeerRules(purpose: .client, authorities: both, lists: [lists[0]]).digest,
            PeerRules(purpose: .client, authorities: both, requiredNames: names("a.test")).digest,
            PeerRules(purpose: .client, authorities: both, requiredNames: names("*.a.test")).digest,
            PeerRules(purpose: .client, authorities: both, requiredNames: [uri]).digest,
            PeerRules(purpose: .client, authorities: both, requiredNames: [address]).digest,
            PeerRules(purpose: .client, authorities: both, verifiesChain: false).digest,
            PeerRules(purpose: .client, authorities: both, allowsExpired: true).digest,
            PeerRules(purpose: .client, authorities: both, acceptsOverdueLists: true).digest,
        ]
        #expect(Set(all).count == all.count)
    }

    @Test("Rules that accept nobody, or that contradict themselves, are refused")
    func refused() throws {
        #expect(throws: PKIError.noCertificate) { try PeerRules(purpose: .client, authorities: []) }
        #expect(throws: Never.self) { try PeerRules(purpose: .client, authorities: [], verifiesChain: false) }
        #expect(throws: PKIError.self) { try PeerRules(purpose: .client, authorities: [[0x30, 0]]) }
        let forged = try RevocationList(der: Forge.list(of: root, signer: other.key, revoking: []))
        #expect(
            throws: PKIError.malformed(
                "revocation list", reason: "the authority 'CN=root' has not signed it, or may not sign lists")
        ) { try PeerRules(purpose: .client, authorities: [root.der], lists: [forged]) }
        // A list of an unknown CA is accepted, since a client may send that CA's certificate.
        #expect(throws: Never.self) { try PeerRules(purpose: .client, authorities: [other.der], lists: [forged]) }
        #expect(throws: PKIError.tooLarge("list of authorities", limit: "1000")) {
            try PeerRules(purpose: .client, authorities: Array(repeating: root.der, count: 1001))
        }
    }

    @Test("Each refusal reason has one line of text and a name for metrics")
    func texts() {
        for reason in PeerRefusal.Reason.allCases {
            #expect(reason.rawValue.utf8.allSatisfy { 0x61...0x7A ~= $0 || $0 == 0x5F }, "\(reason)")
            let text = PeerRefusal(reason, depth: 1, authority: "CN=a", detail: "more").description
            #expect(
                text == "no certificate was shown"
                    || text.hasPrefix("the authority 'CN=a' ") && text.hasSuffix(" (more)"))
        }
        #expect(PeerRefusal(.expired).description == "the certificate has expired")
        #expect(
            PeerRefusal(.weakKey, depth: 1, authority: "CN=a", detail: "RSA 1024").description
                == "the authority 'CN=a' has a key that is too weak or of an unsupported kind (RSA 1024)")
        #expect(PeerFault(openSSL: 17, depth: 0).detail == "out of memory")
    }

    @Test("A certificate is described in one line of ASCII with a limited length")
    func audit() throws {
        let evil = "x\n\u{202E}\u{7F}é\"\\,+<" + String(repeating: "y", count: 45)
        let long = String(repeating: "a.", count: 400) + "b"
        var names: [(UInt8, [UInt8])] = [(2, Array("a\r\n\0\u{1B}é'b".utf8)), (6, Array("spiffe://a/b".utf8))]
        names += [(7, [10, 0, 0, 5]), (7, [1]), (1, Array("a@b".utf8)), (8, [0x2A, 3]), (2, Array(long.utf8))]
        names += Array(repeating: (2, [0x63]), count: 100)
        let leaf = try Forge.certificate(
            evil, key: Forge.Key(.p256), from: root, days: (-1, 30), serial: 0x1234567, [.names(names)])
        let trust = try PeerTrust(
            rules: PeerRules(purpose: .client, authorities: [other.der]), now: { testNow })
        let refusal = trust.refusal(of: [leaf.der])
        let told = try #require(refusal?.certificate)
        let first = [
            "DNS:a\\x0d\\x0a\\x00\\x1b\\xc3\\xa9'b", "URI:spiffe://a/b", "IP:10.0.0.5", "IP:01", "email:a@b",
            "of another kind",
        ]
        #expect(Array(told.names.prefix(6)) == first)
        #expect(told.names.count == PeerCertificate.maximumNames && told.namesLeftOut == 107 - told.names.count)
        #expect(told.names[6].utf8.count == 256 + 4 && told.names[6].hasSuffix("..."))
        #expect(told.serial == "01234567" && told.issuer == "CN=root" && told.notAfter == testNow + 30 * 86400)
        #expect(told.fingerprint == Digest.sha256Text(leaf.der))
        for text in [told.subject, told.issuer] + told.names {
            #expect(text.utf8.count <= 260 && text.utf8.allSatisfy { 0x20...0x7E ~= $0 }, "\(text)")
        }
        #expect(told.subject.hasPrefix("CN=x\\0A\\E2\\80\\AE\\7F\\C3\\A9\\\"\\\\\\,\\+\\<yyy"))
    }

    @Test("Many threads may use the same rules at once")
    func threads() throws {
        let revoked = try Forge.certificate("c", key: Forge.Key(.p256), from: root, serial: 7, [.endEntity])
        let good = try Forge.certificate("c", key: Forge.Key(.p256), from: root, serial: 8, [.endEntity])
        let list = try RevocationList(der: Forge.list(of: root, revoking: [7]))
        // The list's signature can't be verified yet, since its CA's certificate comes with the client's chain.
        let top = try Forge.certificate("top", key: Forge.Key(.p256), serial: 9, [.authority, .signsCertificates])
        let lower = try Forge.certificate(
            "root", key: root.key, from: top, serial: 10, [.authority, .signsCertificates])
        let rules = try PeerRules(purpose: .client, authorities: [top.der], lists: [list])
        let trust = try PeerTrust(rules: rules, now: { testNow })
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            for _ in 0..<20 {
                #expect(trust.refusal(of: [good.der, lower.der]) == nil)
                #expect(trust.refusal(of: [revoked.der, lower.der])?.reason == .revoked)
            }
        }
    }

    @Test("Bytes that are not a certificate are refused, and so is an empty list")
    func unreadable() throws {
        let trust = try PeerTrust(rules: PeerRules(purpose: .client, authorities: [root.der]), now: { testNow })
        #expect(trust.refusal(of: [])?.reason == .noCertificate)
        #expect(
            trust.refusal(of: [[]])?.reason == .unreadable && trust.refusal(of: [root.der, [1]])?.reason == .unreadable)
        for count in root.der.indices {
            #expect(trust.refusal(of: [Array(root.der.prefix(count))])?.reason == .unreadable)
        }
        let many = Array(repeating: root.der, count: 16 * PeerTrust.maximumClientBytes / root.der.count + 1)
        #expect(trust.refusal(of: many)?.reason == .unreadable)
    }

    @Test("The next turn is when a list begins, or becomes overdue unless overdue lists are accepted")
    func turns() throws {
        let list = try RevocationList(der: Forge.list(of: root, revoking: [7], days: (-1, 7)))
        let (begin, end) = try (list.beginning, #require(list.nextUpdate))
        func rules(_ accepts: Bool) throws -> PeerRules {
            try PeerRules(
                purpose: .client, authorities: [root.der], lists: [list], acceptsOverdueLists: accepts)
        }
        let strict = try rules(false)
        #expect(strict.nextTurnOfLists(after: begin - 1) == begin && strict.nextTurnOfLists(after: begin) == end)
        #expect(strict.nextTurnOfLists(after: end - 1) == end && strict.nextTurnOfLists(after: end) == .max)
        #expect(try rules(true).nextTurnOfLists(after: begin - 1) == begin)
        #expect(try rules(true).nextTurnOfLists(after: begin) == .max)
    }
}
