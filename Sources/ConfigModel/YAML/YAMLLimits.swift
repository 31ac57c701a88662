/// What a file may ask of the reader. Each bound is far beyond any honest file.
enum YAMLLimits {
    /// The format needs seven levels.
    static let maxDepth = 32
    /// Values written in the file; 100,000 rich hosts have about five million.
    static let maxNodes = 10_000_000
    /// Values that all aliases together stand for, counted as often as they are used.
    static let maxAliasedNodes = 10_000_000
}
