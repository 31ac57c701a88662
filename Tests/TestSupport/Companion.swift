import Foundation

/// A program in `Tests/Programs` that runs beside a test. Its first line of output says where it listens. The program
/// ends when its standard input closes: with the last reference to this object, or when the tests end in any way.
package final class Companion: Sendable {
    /// The words of the first line of output.
    package let words: [String]
    private let input: FileHandle

    /// Starts a program and waits for its first line.
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
