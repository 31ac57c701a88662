import Foundation

/// A program of `Tests/Programs` that runs beside a test. It says on its first line where it is found, and ends when its
/// standard input does: with its last reference here, or with the tests however they end.
package final class Companion: Sendable {
    /// The words of its first line.
    package let words: [String]
    private let input: FileHandle

    /// Starts a program and waits until it has said where it is.
    package init(_ program: String, _ arguments: String...) throws {
        let process = Process()
        let (input, output) = (Pipe(), Pipe())
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", Repository.path("Tests/Programs/\(program)")] + arguments
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        self.input = input.fileHandleForWriting
        var line = Data()
        while let byte = try output.fileHandleForReading.read(upToCount: 1), byte != Data("\n".utf8), !byte.isEmpty {
            line += byte
        }
        words = String(decoding: line, as: UTF8.self).split(separator: " ").map(String.init)
        guard !words.isEmpty else { throw CocoaError(.executableLoad) }
    }

    deinit { try? input.close() }
}
