extension String.UTF8View {
    /// Whether a byte is of a kind. Over a span: iterating a view costs several times as much, and texts are very many.
    func hasAny(where isWanted: (UInt8) -> Bool) -> Bool {
        let span = self.span
        for index in span.indices where isWanted(span[index]) { return true }
        return false
    }
}
