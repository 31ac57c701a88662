/// Limits on a file's size and nesting. Each is far beyond any honest file.
enum YAMLLimits {
    /// Levels of nesting; the format needs seven.
    static let maxDepth = 32
    /// Values written in the file; 100,000 rich hosts have about five million.
    static let maxNodes = 10_000_000
    /// Values that all aliases together stand for, counted at each use.
    static let maxAliasedNodes = 10_000_000
}
