/// Limits on a file's size and nesting. Each limit is far beyond any real file.
enum YAMLLimits {
    /// Levels of nesting; the format needs seven.
    static let maxDepth = 32
    /// Keys, values and aliases in the file; 100,000 hosts with many settings have about five million.
    static let maxNodes = 10_000_000
    /// Keys and values that all aliases together stand for, counted at each use.
    static let maxAliasedNodes = 10_000_000
}
