import Foundation

/// A folder that is deleted with its last reference.
package final class TemporaryFolder: Sendable {
    private let root: URL

    package init() throws {
        root = FileManager.default.temporaryDirectory.appendingPathComponent("aegis-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(at: root) }

    package var path: String { root.path }

    /// The path of a file in the folder.
    package func path(_ name: String) -> String { root.appendingPathComponent(name).path }

    /// Writes a file and returns its path.
    package func file(_ name: String, _ text: String) throws -> String {
        try text.write(toFile: path(name), atomically: true, encoding: .utf8)
        return path(name)
    }
}
