extension String.UTF8View {
    /// Whether any byte satisfies `isWanted`. It reads a span, since iterating a view of a String costs several times
    /// as much.
    func hasAny(where isWanted: (UInt8) -> Bool) -> Bool {
        let span = self.span
        for index in span.indices where isWanted(span[index]) { return true }
        return false
    }
}
