import Foundation
import Testing

@testable import PKI

/// Runs the openssl command. The command must accept the output of PKI, and it makes input that PKI must read.
enum OpenSSLTool {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Returns the output. Throws with the error text if the command fails.
    @discardableResult
    static func run(_ arguments: String...) throws -> [UInt8] { try run(arguments) }

    @discardableResult
    static func run(_ arguments: [String]) throws -> [UInt8] {
        let process = Process()
        let output = Pipe()
        let folder = try Folder()
        let complaints = try folder.write([], "stderr")
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = FileHandle(forWritingAtPath: complaints)
        try process.run()
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            let complaint = (try? String(contentsOfFile: complaints, encoding: .utf8)) ?? ""
            throw Failure(description: "openssl \(arguments.joined(separator: " ")): \(complaint)")
        }
        return Array(bytes)
    }

    static func text(_ arguments: String...) throws -> String {
        String(decoding: try run(arguments), as: UTF8.self)
    }
}

/// A folder that is deleted with its last reference.
final class Folder: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "aegis-pki-" + UUID().uuidString
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file and returns its path.
    func write(_ bytes: [UInt8], _ name: String) throws -> String {
        let file = "\(path)/\(name)"
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        return file
    }

    func write(_ text: String, _ name: String) throws -> String { try write(Array(text.utf8), name) }

    func write(_ secret: SecretBytes, _ name: String) throws -> String { try write(secret.array, name) }
}

extension PrivateKey {
    static func read(_ text: String) throws(PKIError) -> PrivateKey {
        try PrivateKey(pem: SecretBytes(Array(text.utf8)))
    }
}

/// The current time for the tests, which the openssl command gets too: 2026-01-15 12:00:00 UTC.
let testNow: Int64 = 1_768_478_400
