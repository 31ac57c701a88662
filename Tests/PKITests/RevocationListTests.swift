import COpenSSL
import Testing

@testable import PKI

/// Which revocation lists can be read, and what they say.
@Suite struct RevocationListTests {
    private let root: Forge.Made

    init() throws {
        root = try Forge.certificate("CA, Inc.", key: Forge.Key(.p256), serial: 1, [.authority, .signsCertificates])
    }

    private static func isRefused(_ der: [UInt8], with text: String) -> Bool {
        do throws(PKIError) {
            _ = try RevocationList(der: der)
            return false
        } catch {
            return "\(error)" == "the revocation list is malformed: \(text)"
        }
    }

    @Test("A list has an issuer, a validity and the revoked serial numbers")
    func content() throws {
        let list = try RevocationList(der: Forge.list(of: root, revoking: [5, 6, 6, -7], days: (-1, 7)))
        #expect(list.issuer == "CN=CA\\, Inc." && list.count == 3)
        #expect(list.thisUpdate == testNow - 86400 && list.nextUpdate == testNow + 7 * 86400)
        let numbers: [(UInt8, Bool)] = [(5, false), (6, false), (7, true), (7, false), (5, true)]
        #expect(
            numbers.map { list.revokes(SerialNumber(magnitude: [$0.0], isNegative: $0.1)) } == [
                true, true, true, false, false,
            ])
        #expect(!list.isOverdue(at: testNow + 7 * 86400 - 1) && list.isOverdue(at: testNow + 7 * 86400))
        #expect(unsafe list.isSigned(by: root.handle))
        let endless = try RevocationList(der: Forge.list(of: root, revoking: [], days: (-1, nil)))
        #expect(endless.count == 0 && endless.nextUpdate == nil && !endless.isOverdue(at: .max))
    }

    @Test("Serial numbers differ by each byte, by length and by sign")
    func serials() {
        let long = [UInt8](repeating: 1, count: 23)
        var numbers: [SerialNumber] = [SerialNumber(magnitude: [])]
        for count in 1...40 { numbers.append(SerialNumber(magnitude: [UInt8](repeating: 1, count: count))) }
        for place in 0..<23 {
            var other = long
            other[place] = 2
            numbers.append(SerialNumber(magnitude: other))
        }
        numbers += [SerialNumber(magnitude: long, isNegative: true), SerialNumber(magnitude: long + [1, 2])]
        #expect(Set(numbers).count == numbers.count)
        #expect(SerialNumber(magnitude: [0, 0, 5]) == SerialNumber(magnitude: [5]))
    }

    @Test("Partial lists (delta, indirect), and lists with unknown critical extensions, are refused")
    func partial() throws {
        func list(_ number: Int32, _ text: String) throws -> [UInt8] {
            try Forge.list(of: root, revoking: [5], [.text(number, text)])
        }
        let number = CertificateExtension(identifier: "2.5.29.27", isCritical: true, value: DER.integer(1))
        let delta = try Forge.list(of: root, revoking: [5], [.raw(number)])
        #expect(
            Self.isRefused(delta, with: "it is a delta list, which has only changes; the complete list is needed"))
        let point = NID_issuing_distribution_point
        #expect(
            Self.isRefused(try list(point, "critical,indirectCRL:TRUE"), with: "it is for other issuers too (indirect)")
        )
        #expect(
            Self.isRefused(try list(point, "critical,onlyAA:TRUE"), with: "it is for attribute certificates alone"))
        #expect(
            Self.isRefused(
                try list(point, "critical,onlysomereasons:keyCompromise"), with: "it is for some reasons alone"))
        let unknown = CertificateExtension(identifier: "1.2.3.4", isCritical: true, value: [5, 0])
        let known = CertificateExtension(identifier: "1.2.3.4", isCritical: false, value: [5, 0])
        #expect(
            Self.isRefused(
                try Forge.list(of: root, revoking: [], [.raw(unknown)]),
                with: "it has a critical extension that is not known"))
        #expect(throws: Never.self) {
            try RevocationList(der: Forge.list(of: root, revoking: [5], [.raw(known)], entries: [.raw(known)]))
        }
        // The entry extension certificateIssuer of indirect lists, critical or not.
        let issuer = "an entry is another issuer's, or has a critical extension that is not known"
        let name = DER.sequence([DER.context(2, [0x61])])
        for item in [
            unknown, CertificateExtension(identifier: "2.5.29.29", isCritical: true, value: name),
            CertificateExtension(identifier: "2.5.29.29", isCritical: false, value: name),
        ] {
            #expect(Self.isRefused(try Forge.list(of: root, revoking: [5], entries: [.raw(item)]), with: issuer))
        }
    }

    @Test("A damaged list is refused, or its signature fails")
    func damage() throws {
        let der = try Forge.list(of: root, revoking: [5, 6])
        let signed = try RevocationList(der: der)
        #expect(unsafe signed.isSigned(by: root.handle))
        for place in der.indices {
            var other = der
            other[place] ^= 0x01
            guard let list = try? RevocationList(der: other) else { continue }
            #expect(unsafe !list.isSigned(by: root.handle), "byte \(place)")
        }
        for count in der.indices {
            #expect(throws: PKIError.self) { try RevocationList(der: Array(der.prefix(count))) }
        }
        #expect(throws: PKIError.self) { try RevocationList(der: der + [0]) }
    }

    @Test("A list belongs to the CA whose key signed it, with any algorithm")
    func signatures() throws {
        for kind: Forge.Kind in [.rsa(2048), .ec("P-384"), .ed25519] {
            let authority = try Forge.certificate(
                "a", key: Forge.Key(kind), serial: 2, [.authority, .signsCertificates])
            let list = try RevocationList(der: Forge.list(of: authority, revoking: [1]))
            #expect(unsafe list.isSigned(by: authority.handle) && !list.isSigned(by: root.handle))
            // The second call uses the stored result.
            #expect(unsafe list.isSigned(by: authority.handle) && !list.isSigned(by: root.handle))
        }
    }

    @Test("A file contains one list in DER, or several in PEM")
    func files() throws {
        let der = try Forge.list(of: root, revoking: [5])
        let other = try Forge.list(of: root, revoking: [6])
        let pem = Array((PEM.text("X509 CRL", der) + root.pem + PEM.text("X509 CRL", other)).utf8)
        #expect(try RevocationList.lists(in: der).map(\.digest) == [OpenSSL.sha256(der.span)])
        #expect(
            try RevocationList.lists(in: pem).map(\.digest) == [OpenSSL.sha256(der.span), OpenSSL.sha256(other.span)])
        for text in ["", "0", "no list", root.pem] {
            #expect(
                throws: PKIError.malformed("revocation list", reason: "there is neither DER nor a block X509 CRL")
            ) { try RevocationList.lists(in: Array(text.utf8)) }
        }
        let cut = Array(pem.prefix(pem.count - 40))
        #expect(throws: PKIError.self) { try RevocationList.lists(in: cut) }
        #expect(throws: PKIError.self) { try RevocationList.lists(in: der + [0x0A]) }
    }

    @Test("Lists are limited in size and number")
    func bounds() throws {
        #expect(throws: PKIError.tooLarge("revocation list", limit: "16 MiB")) {
            try RevocationList(der: [UInt8](repeating: 0x30, count: RevocationList.maximumBytes + 1))
        }
        let one = PEM.text("X509 CRL", try Forge.list(of: root, revoking: []))
        let many = String(repeating: one, count: RevocationList.maximumLists + 1)
        #expect(throws: PKIError.tooLarge("file", limit: "100 revocation lists")) {
            try RevocationList.lists(in: Array(many.utf8))
        }
        let list = try RevocationList(der: Forge.list(of: root, revoking: []))
        #expect(throws: PKIError.tooLarge("number of revocation lists", limit: "100")) {
            try PeerRules(
                purpose: .client, authorities: [root.der],
                lists: Array(repeating: list, count: RevocationList.maximumLists + 1))
        }
    }

    @Test("A list is lost unless one of the same CA covers as much and is not older")
    func lost() throws {
        let other = try Forge.certificate("Other", key: Forge.Key(.p256), serial: 2, [.authority, .signsCertificates])
        func list(
            _ issuer: Forge.Made, _ from: Int64 = -1, hasKey: Bool = true, scope: String? = nil
        ) throws -> RevocationList {
            let scopes = scope.map { [Forge.Extension.text(NID_issuing_distribution_point, "critical,\($0)")] }
            return try RevocationList(
                der: Forge.list(
                    of: issuer, revoking: [], days: (from, 7), hasKeyIdentifier: hasKey, scopes ?? []))
        }
        let users = "onlyuser:TRUE"
        let cases: [(String, former: RevocationList, present: [RevocationList], isLost: Bool)] = [
            ("nothing", try list(root), [], true),
            ("another CA's", try list(root), [try list(other, 0)], true),
            ("an older one", try list(root), [try list(root, -2)], true),
            ("one of the same time", try list(root), [try list(root)], false),
            ("a newer one", try list(root), [try list(other), try list(root, 0)], false),
            ("one without key", try list(root), [try list(root, 0, hasKey: false)], false),
            ("one with key", try list(root, hasKey: false), [try list(root, 0)], false),
            ("one for a part", try list(root), [try list(root, 0, scope: users)], true),
            ("one for all", try list(root, scope: users), [try list(root, 0)], false),
            ("one for the same part", try list(root, scope: users), [try list(root, 0, scope: users)], false),
            ("one for another part", try list(root, scope: users), [try list(root, 0, scope: "onlyCA:TRUE")], true),
        ]
        for (what, former, present, isLost) in cases {
            #expect(RevocationList.lost(of: [former], in: present).isEmpty == !isLost, "\(what)")
        }
    }

    @Test("A serial number is found in a list of a hundred thousand")
    func many() throws {
        let numbers = Array(2...100_001)
        let list = try RevocationList(der: Forge.list(of: root, revoking: numbers))
        #expect(unsafe list.count == numbers.count && list.isSigned(by: root.handle))
        let rules = try PeerRules(purpose: .client, authorities: [root.der], lists: [list])
        let trust = try PeerTrust(rules: rules, now: { testNow })
        func leaf(_ serial: Int) throws -> [[UInt8]] {
            [try Forge.certificate("c", key: Forge.Key(.p256), from: root, serial: serial, [.endEntity]).der]
        }
        #expect(try trust.refusal(of: leaf(100_001))?.reason == .revoked && trust.refusal(of: leaf(100_002)) == nil)
    }
}
