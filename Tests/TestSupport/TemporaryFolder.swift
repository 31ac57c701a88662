import Foundation

/// A folder that goes when the test is done with it.
public final class TemporaryFolder: Sendable {
    private let root: URL

    /// A new folder.
    public init() throws {
        root = FileManager.default.temporaryDirectory.appendingPathComponent("aegis-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(at: root) }

    /// Its path.
    public var path: String { root.path }

    /// The path of a file in it.
    public func path(_ name: String) -> String { root.appendingPathComponent(name).path }

    /// Writes a file and gives its path.
    public func file(_ name: String, _ text: String) throws -> String {
        try text.write(toFile: path(name), atomically: true, encoding: .utf8)
        return path(name)
    }
}
