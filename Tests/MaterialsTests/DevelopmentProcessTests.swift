import Foundation
import Glibc
import Materials
import PKI
import SystemPackage
import TestSupport
import Testing

/// Several processes use one directory of a development CA.
struct DevelopmentProcessTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func content(of path: String) throws -> [String: String] {
        var content: [String: String] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: path) {
            content[name] = try String(contentsOfFile: "\(path)/\(name)", encoding: .utf8)
        }
        return content
    }

    @Test("Processes that start at once make one CA")
    func together() async throws {
        let path = folder.path("certs")
        await withTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    await #expect(processExitsWith: .success) { [path = path as String] in
                        let made = DevelopmentIdentity(directory: FilePath(path), nodeID: "edge-1")
                        let content = try made.open(now: IdentityFixture.now, patienceSeconds: 60)
                        _ = try CertificateChain(pem: content.certificate, key: PrivateKey(pem: content.key))
                        // All processes must have read the same CA.
                        let file = try FileDescriptor.open(
                            FilePath("\(path).\(getpid())"), .writeOnly, options: [.create],
                            permissions: .ownerReadWrite)
                        _ = try file.closeAfter { try file.writeAll(content.authority) }
                    }
                }
            }
        }
        let content = try content(of: path)
        #expect(content.keys.sorted() == ["ca-cert.pem", "ca-key.pem", "edge-1-cert.pem", "edge-1-key.pem"])
        let seen = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0 != "certs" }
        #expect(seen.count == 4)
        for name in seen {
            #expect(try String(contentsOfFile: folder.path(name), encoding: .utf8) == content["ca-cert.pem"])
        }
    }

    @Test("A killed process leaves no readable key, and nothing that stops the next process")
    func killed() async throws {
        for microseconds in stride(from: UInt32(0), to: 8_000, by: 500) {
            let path = folder.path("certs\(microseconds)")
            await #expect(processExitsWith: .signal(SIGKILL)) {
                [path = path as String, microseconds = microseconds as UInt32] in
                // This umask removes no permissions, so the files must set their mode themselves.
                umask(0)
                Thread.detachNewThread {
                    usleep(microseconds)
                    kill(getpid(), SIGKILL)
                }
                let made = DevelopmentIdentity(directory: FilePath(path), nodeID: "edge-1")
                _ = try made.open(now: IdentityFixture.now, patienceSeconds: 60)
                while true { pause() }
            }
            if FileManager.default.fileExists(atPath: path) {
                for name in try content(of: path).keys {
                    #expect(try FilePath("\(path)/\(name)").stat().permissions == .ownerReadWrite, "\(name)")
                }
            }
            let made = DevelopmentIdentity(directory: FilePath(path), nodeID: "edge-1")
            let next = try made.open(now: IdentityFixture.now)
            _ = try CertificateChain(pem: next.certificate, key: PrivateKey(pem: next.key))
            #expect(try content(of: path).count == 4)
        }
    }
}
