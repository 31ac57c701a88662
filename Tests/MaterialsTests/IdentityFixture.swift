import Foundation
import Glibc
import Materials
import PKI
import SystemPackage
import TestSupport

/// A CA, and files with identities from it.
struct IdentityFixture {
    static let now: Int64 = 1_800_000_000
    static let day: Int64 = 86_400

    let folder: TemporaryFolder
    let authority: CertificateAuthority
    var files: WatchedFiles

    init() throws {
        folder = try TemporaryFolder()
        authority = try CertificateAuthority.makeRoot(commonName: "mesh CA", now: Self.now)
        files = WatchedFiles(directory: FilePath(folder.path))
    }

    static let source = IdentitySource.files(certificate: "node.crt", key: "node.key", authorities: "ca.crt")

    struct Pair {
        let certificate: Certificate
        let key: PrivateKey

        var keyText: String {
            get throws { String(decoding: try key.pem().plainCopy(), as: UTF8.self) }
        }
    }

    func pair(_ name: String = "node.test", days: Int64 = 30, now: Int64 = now) throws -> Pair {
        let key = try PrivateKey.generate(.ecdsaP256)
        let leaf = try authority.issue(
            for: key, names: [.dns(name)], now: now, lifetimeSeconds: days * Self.day, isForClients: true)
        return Pair(certificate: leaf, key: key)
    }

    /// Writes another file and renames it to this name.
    func rename(_ text: String, to name: String, mode: mode_t = 0o600) throws {
        let path = try folder.file("\(name).new", text)
        // This is safe, since the calls only read the paths.
        guard unsafe chmod(path, mode) == 0, unsafe Glibc.rename(path, folder.path(name)) == 0 else {
            throw Errno(rawValue: errno)
        }
    }

    /// Overwrites a file in place.
    func overwrite(_ text: String, in name: String) throws {
        let file = try FileDescriptor.open(
            FilePath(folder.path(name)), .writeOnly, options: [.truncate, .create], permissions: .ownerReadWrite)
        try file.closeAfter { _ = try file.writeAll(text.utf8) }
    }

    func write(_ pair: Pair, mode: mode_t = 0o600) throws {
        try rename(pair.certificate.pem, to: "node.crt")
        try rename(try pair.keyText, to: "node.key", mode: mode)
        try rename(authority.certificate.pem, to: "ca.crt")
    }

    func text(_ name: String) throws -> String {
        try String(contentsOfFile: folder.path(name), encoding: .utf8)
    }
}
