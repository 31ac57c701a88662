import Foundation
import TestSupport

/// Runs the real program as an operator does.
struct ApplyProgram {
    struct Outcome {
        let status: Int32
        let output: String
        let errors: String
    }

    /// The built program, which is in the same directory as the test bundle.
    static let path = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        .appendingPathComponent("aegis-apply").path

    /// Whether the program is built with a sanitizer, which makes system calls of its own.
    static let isSanitized = ProcessInfo.processInfo.environment["AEGIS_SANITIZER"] != nil

    /// The environment variables that the program needs from this process. LD_PRELOAD is needed by sanitizers.
    static let environment = ProcessInfo.processInfo.environment.filter { ["PATH", "LD_PRELOAD"].contains($0.key) }

    /// Runs the program in a folder. It gets only the variables in `environment` and `Self.environment`.
    static func run(
        _ arguments: [String], in folder: String = FileManager.default.temporaryDirectory.path, input: String = "",
        environment: [String: String] = [:], under wrapper: [String] = []
    ) throws -> Outcome {
        // The output goes to files. With pipes, a program that writes much to both could block.
        let scratch = try TemporaryFolder()
        try input.write(toFile: scratch.path("in"), atomically: false, encoding: .utf8)
        for name in ["out", "err"] { _ = FileManager.default.createFile(atPath: scratch.path(name), contents: nil) }
        let process = Process()
        let command = wrapper + [path] + arguments
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        process.environment = Self.environment.merging(environment) { _, new in new }
        process.standardInput = FileHandle(forReadingAtPath: scratch.path("in"))
        process.standardOutput = FileHandle(forWritingAtPath: scratch.path("out"))
        process.standardError = FileHandle(forWritingAtPath: scratch.path("err"))
        try process.run()
        process.waitUntilExit()
        return Outcome(
            status: process.terminationStatus,
            output: try String(contentsOfFile: scratch.path("out"), encoding: .utf8),
            errors: try String(contentsOfFile: scratch.path("err"), encoding: .utf8))
    }
}
