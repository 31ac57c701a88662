import SystemPackage

extension FilePath {
    /// Whether the path leads to a file or a directory that this process can see.
    var exists: Bool { (try? stat()) != nil }
}
