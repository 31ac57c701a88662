extension String.UTF8View {
    /// Whether a byte is one of these. Over a span: iterating a view costs several times as much, and texts are very many.
    func hasAny(of bytes: [UInt8]) -> Bool { hasAny(where: bytes.contains) }

    /// Whether a byte is of a kind.
    func hasAny(where isWanted: (UInt8) -> Bool) -> Bool {
        let span = self.span
        for index in span.indices where isWanted(span[index]) { return true }
        return false
    }
}
