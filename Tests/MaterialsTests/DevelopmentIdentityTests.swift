import Foundation
import Glibc
import Materials
import PKI
import Synchronization
import SystemPackage
import TestSupport
import Testing

struct DevelopmentIdentityTests {
    private let now = IdentityFixture.now
    private let day = IdentityFixture.day
    private var fixture: IdentityFixture
    private let files = ["ca-cert.pem", "ca-key.pem", "edge-1-cert.pem", "edge-1-key.pem"]

    init() throws { fixture = try IdentityFixture() }

    private func made(_ nodeID: String = "edge-1", addressHost: String? = "edge.example.com") -> DevelopmentIdentity {
        DevelopmentIdentity(
            directory: FilePath(fixture.folder.path("certs")), nodeID: nodeID, addressHost: addressHost)
    }

    private func path(_ name: String) -> String { fixture.folder.path("certs/\(name)") }

    private func contents() throws -> [String: String] {
        var contents: [String: String] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: fixture.folder.path("certs")) {
            contents[name] = try fixture.text("certs/\(name)")
        }
        return contents
    }

    private func certificate(_ name: String) throws -> Certificate {
        try CertificateChain(pem: Array(fixture.text("certs/\(name)").utf8)).leaf
    }

    @Test("The first use makes a CA for 365 days, and a node certificate for 90 days, for client and server")
    func first() throws {
        _ = try made().open(now: now)
        #expect(try contents().keys.sorted() == files)
        let (ca, node) = (try certificate("ca-cert.pem"), try certificate("edge-1-cert.pem"))
        #expect(ca.isCA && ca.pathLength == 0 && ca.keyUsage == [.keyCertSign, .cRLSign])
        #expect(ca.notAfter == now + 365 * day)
        #expect(node.notAfter == now + 90 * day)
        #expect(node.isIssued(by: ca))
        #expect(
            node.names == [.dns("edge-1"), .dns("edge.example.com"), .dns("localhost"), .ip("127.0.0.1"), .ip("::1")])
        #expect(node.extendedKeyUsages == ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"])
        #expect(node.keyUsage == .digitalSignature)
        #expect(node.subjectKeyIdentifier != nil && node.authorityKeyIdentifier == ca.subjectKeyIdentifier)
        #expect(ca.authorityKeyIdentifier == ca.subjectKeyIdentifier)
        for name in files { #expect(try FilePath(path(name)).stat().permissions == .ownerReadWrite) }
        #expect(try FilePath(fixture.folder.path("certs")).stat().permissions == .ownerReadWriteExecute)
    }

    @Test("Client and server accept each other's certificates")
    func peers() throws {
        let content = try made().open(now: now)
        let chain = try CertificateChain(pem: content.certificate).certificates.map(\.der)
        for purpose in [PeerRules.Purpose.client, .server] {
            let rules = try PeerRules(purpose: purpose, authorities: PEM.certificates(in: content.authority))
            let now = now
            #expect(try PeerTrust(rules: rules, now: { now }).refusal(of: chain) == nil)
        }
    }

    @Test("The second use finds the CA and the certificate of the first")
    func second() throws {
        let first = try made().open(now: now)
        let contents = try contents()
        let second = try made().open(now: now + 59 * day)
        #expect(try self.contents() == contents)
        #expect(second.certificate == first.certificate && second.key == first.key)
        #expect(second.renewAt == first.renewAt)
    }

    struct Renewal: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var days: Int64 = 1
        var nodeID = "edge-1"
        var addressHost: String? = "edge.example.com"
        /// The files that must be made again.
        let expected: Set<String>
        var prepare: @Sendable (DevelopmentIdentityTests) throws -> Void = { _ in }
    }

    private static let node: Set<String> = ["edge-1-cert.pem", "edge-1-key.pem"]
    private static let all: Set<String> = ["edge-1-cert.pem", "edge-1-key.pem", "ca-cert.pem", "ca-key.pem"]

    static let renewals = [
        Renewal(testDescription: "two thirds of its life are over", days: 61, expected: node),
        Renewal(testDescription: "the node has expired", days: 100, expected: node),
        Renewal(testDescription: "the CA has expired", days: 366, expected: all),
        Renewal(testDescription: "another address", addressHost: "10.0.0.1", expected: node),
        Renewal(testDescription: "an address in capitals", addressHost: "EDGE.example.com", expected: []),
        Renewal(testDescription: "no address", addressHost: nil, expected: []),
        Renewal(
            testDescription: "another node", nodeID: "edge-2", expected: ["edge-2-cert.pem", "edge-2-key.pem"]),
        Renewal(testDescription: "no CA", expected: all) { try $0.remove("ca-cert.pem") },
        Renewal(testDescription: "no CA's key, which nobody needs now", expected: []) { try $0.remove("ca-key.pem") },
        Renewal(testDescription: "no certificate of the node", expected: node) { try $0.remove("edge-1-cert.pem") },
        Renewal(testDescription: "no key of the node", expected: node) { try $0.remove("edge-1-key.pem") },
        Renewal(testDescription: "half a certificate of the node", expected: node) {
            try $0.cut("edge-1-cert.pem")
        },
        Renewal(testDescription: "half a key of the node", expected: node) { try $0.cut("edge-1-key.pem") },
        Renewal(testDescription: "another node's key", expected: node) { tests in
            _ = try tests.made("edge-2").open(now: IdentityFixture.now)
            try tests.fixture.overwrite(tests.fixture.text("certs/edge-2-key.pem"), in: "certs/edge-1-key.pem")
        },
        Renewal(testDescription: "another CA", expected: node) { tests in
            let other = DevelopmentIdentity(directory: FilePath(tests.fixture.folder.path("other")), nodeID: "edge-1")
            _ = try other.open(now: IdentityFixture.now)
            for name in ["ca-cert.pem", "ca-key.pem"] {
                try tests.fixture.overwrite(tests.fixture.text("other/\(name)"), in: "certs/\(name)")
            }
        },
        // A killed process leaves only some of these files, since it writes them one after the other.
        Renewal(testDescription: "a CA's key alone", expected: all) {
            try $0.remove("ca-cert.pem", "edge-1-cert.pem", "edge-1-key.pem")
        },
        Renewal(testDescription: "a CA alone", expected: node) { try $0.remove("edge-1-cert.pem", "edge-1-key.pem") },
    ]

    private func remove(_ names: String...) throws {
        for name in names { try FileManager.default.removeItem(atPath: path(name)) }
    }

    private func cut(_ name: String) throws {
        try fixture.overwrite(String(fixture.text("certs/\(name)").prefix(100)), in: "certs/\(name)")
    }

    @Test("A missing, expired or foreign certificate is made again, and nothing else", arguments: renewals)
    func renewal(_ renewal: Renewal) throws {
        _ = try made().open(now: now)
        try renewal.prepare(self)
        let before = try contents()
        let later = now + renewal.days * day
        let content = try made(renewal.nodeID, addressHost: renewal.addressHost).open(now: later)
        let after = try contents()
        #expect(Set(after.keys.filter { before[$0] != after[$0] }) == renewal.expected)
        // In each case, the resulting files must belong together.
        let key = try PrivateKey(pem: content.key)
        let chain = try CertificateChain(pem: content.certificate, key: key, now: later)
        #expect(chain.leaf.isValid(at: later))
        #expect(chain.leaf.isIssued(by: try CertificateChain(pem: content.authority).leaf))
        #expect(content.renewAt > later)
        for name in after.keys { #expect(try FilePath(path(name)).stat().permissions == .ownerReadWrite) }
    }

    @Test("A certificate that ends with its CA is replaced only when the CA ends")
    func lastCertificate() throws {
        _ = try made().open(now: now)
        let late = now + 340 * day
        #expect(try made().open(now: late).renewAt == now + 365 * day)
        let contents = try contents()
        _ = try made().open(now: now + 365 * day - 1)
        #expect(try self.contents() == contents)
        _ = try made().open(now: now + 365 * day)
        #expect(try certificate("ca-cert.pem").notAfter == now + 730 * day)
    }

    @Test("An unusable CA is not replaced, since peers trust it")
    func ruined() throws {
        _ = try made().open(now: now)
        try cut("ca-cert.pem")
        let before = try contents()
        let fault = #expect(throws: IdentityFault.self) { _ = try made().open(now: now) }
        #expect(fault?.description.contains("certs': 'ca-cert.pem' can't be used") == true)
        #expect(try contents() == before)
    }

    @Test("A CA without its key issues nothing, and the error says what to do")
    func keyless() throws {
        _ = try made().open(now: now)
        try remove("ca-key.pem", "edge-1-key.pem")
        let fault = #expect(throws: IdentityFault.self) { _ = try made().open(now: now) }
        #expect(fault?.description.contains("'ca-key.pem' is missing") == true)
        #expect(try contents().count == 2)
    }

    @Test("A key that others can read is refused", arguments: ["ca-key.pem", "edge-1-key.pem"])
    func exposed(name: String) throws {
        _ = try made().open(now: now)
        // This is safe, since the call only reads the path.
        #expect(unsafe chmod(path(name), 0o640) == 0)
        let fault = #expect(throws: IdentityFault.self) { _ = try made().open(now: now) }
        #expect(fault?.description.contains("run: chmod 600 '\(path(name))'") == true)
    }

    @Test(
        "A node ID that is no usable file name or certificate name is refused",
        arguments: ["ca", "CA", "../x", "a/b", "", "*.x", "ä", "a b", "."])
    func badID(id: String) throws {
        #expect(throws: IdentityFault.self) { _ = try made(id).open(now: now) }
        #expect(!FileManager.default.fileExists(atPath: fixture.folder.path("certs")))
    }

    @Test("Nodes that start at once make one CA")
    func together() throws {
        let contents = Mutex<[DevelopmentIdentity.Content]>([])
        let (nodes, now) = ((0..<8).map { made("edge-\($0 % 4)") }, now)
        // Each thread opens the directory with a descriptor of its own, as processes do.
        DispatchQueue.concurrentPerform(iterations: nodes.count) { index in
            if let content = try? nodes[index].open(now: now, patienceSeconds: 60) {
                contents.withLock { $0.append(content) }
            }
        }
        let all = contents.withLock { $0 }
        #expect(all.count == 8)
        #expect(Set(all.map(\.authority)).count == 1)
        #expect(Set(all.map(\.certificate)).count == 4)
        for content in all {
            _ = try CertificateChain(pem: content.certificate, key: PrivateKey(pem: content.key), now: now)
        }
    }

    @Test("A development identity is made with a warning, renewed when due, and follows a new CA")
    mutating func kept() throws {
        let source = IdentitySource.development(directory: "certs", nodeID: "edge-1", addressHost: nil)
        var kept = KeptIdentity(source, &fixture.files, now: now)
        let first = try #require(kept.identity)
        #expect(kept.failure == nil)
        #expect(kept.warnings(now: now).contains { $0.contains("is only for development") })
        #expect(kept.look(fixture.files.look(), fixture.files, now: now + 59 * day) == false)
        #expect(kept.look(fixture.files.look(), fixture.files, now: now + 61 * day) == true)
        let second = try #require(kept.identity)
        #expect(second.version != first.version && second.authorities == first.authorities)
        // The CA's certificate is deleted, so a new CA must be made.
        try remove("ca-cert.pem")
        #expect(kept.look(fixture.files.look(), fixture.files, now: now + 62 * day) == true)
        #expect(kept.identity?.authorities != first.authorities)
        kept.release(&fixture.files)
        #expect(fixture.files["certs/ca-cert.pem"].content == nil)
    }

    @Test("A new certificate that is removed before its file was seen is made once more")
    mutating func removedTwice() throws {
        let source = IdentitySource.development(directory: "certs", nodeID: "edge-1", addressHost: nil)
        var kept = KeptIdentity(source, &fixture.files, now: now)
        _ = fixture.files.look()
        for second in 1...2 {
            try remove("edge-1-cert.pem")
            let former = kept.identity?.version
            let changed = fixture.files.look()
            #expect(kept.look(changed, fixture.files, now: now + Int64(second)) == true)
            #expect(kept.identity?.version != former)
        }
    }

    @Test("If the directory is unusable, the last identity stays, and each second has a new try")
    mutating func broken() throws {
        let source = IdentitySource.development(directory: "certs", nodeID: "edge-1", addressHost: nil)
        _ = try fixture.folder.file("certs", "a file in its place")
        var kept = KeptIdentity(source, &fixture.files, now: now)
        #expect(kept.identity == nil)
        #expect(kept.failure?.reason.contains("certs'") == true)
        try FileManager.default.removeItem(atPath: fixture.folder.path("certs"))
        #expect(kept.look([], fixture.files, now: now + 1) == true)
        #expect(kept.failure == nil)
        try cut("ca-cert.pem")
        #expect(kept.look(["certs/ca-cert.pem"], fixture.files, now: now + 2) == true)
        #expect(kept.failure?.since == now + 2)
        #expect(kept.identity != nil)
    }
}
