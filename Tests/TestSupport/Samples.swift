import Foundation

// TestSupport: the sample files that several test targets read.

/// A file of `Tests/Samples`.
package struct Sample: Sendable, CustomStringConvertible {
    /// The path of the YAML file.
    package let path: String

    package init(path: String) { self.path = path }

    /// The file's name without folder and ending.
    package var name: String { URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent }
    /// The bytes of the YAML file.
    package var bytes: [UInt8] { (FileManager.default.contents(atPath: path)).map(Array.init) ?? [] }
    /// The path of the file with the expected diagnostics.
    package var goldenPath: String { String(path.dropLast("yaml".count)) + "txt" }
    /// The name of the sample in test results.
    package var description: String { name }

    /// The samples of a folder, by name.
    package static func all(_ folder: String) -> [Sample] {
        let directory = Repository.path("Tests/Samples/\(folder)")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.filter { $0.hasSuffix(".yaml") }.sorted().map { Sample(path: "\(directory)/\($0)") }
    }

    package static var invalid: [Sample] { all("invalid/structure") + all("invalid/rules") + all("invalid/text") }
    package static var valid: [Sample] { all("valid") }
}

/// The checkout that the tests were built from.
package enum Repository {
    /// The path of a file of the checkout.
    package static func path(_ relative: String) -> String {
        let here = URL(fileURLWithPath: #filePath)
        let root = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return root.appendingPathComponent(relative).path
    }
}

/// Expected outputs that are kept in files.
package enum Golden {
    /// Returns the content of the file at `path`. With AEGIS_RECORD=1 in the environment, `actual` is written there
    /// first.
    package static func expected(at path: String, recording actual: String) throws -> String {
        if ProcessInfo.processInfo.environment["AEGIS_RECORD"] == "1" {
            try actual.write(toFile: path, atomically: true, encoding: .utf8)
        }
        return try String(contentsOfFile: path, encoding: .utf8)
    }
}
