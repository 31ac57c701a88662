import Foundation

/// Runs other programs.
enum Tool {
    static func run(_ arguments: String...) throws -> (status: Int32, output: String) { try run(arguments) }

    static func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let (status, data) = try launch(arguments)
        return (status, String(decoding: data, as: UTF8.self))
    }

    static func data(_ arguments: String...) throws -> Data { try launch(arguments).1 }

    private static func launch(_ arguments: [String]) throws -> (Int32, Data) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, data)
    }
}
