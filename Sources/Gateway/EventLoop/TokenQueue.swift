/// Tokens that wait for their turn, first in, first out, in memory that is used again.
struct TokenQueue {
    private var tokens: [Token] = []
    private var start = 0

    /// How many taken places may lie before those that are left until these move up.
    private static let takenPlaces = 1024

    var isEmpty: Bool { start == tokens.count }

    mutating func append(_ token: Token) { tokens.append(token) }

    mutating func popFirst() -> Token? {
        guard !isEmpty else { return nil }
        let token = tokens[start]
        start += 1
        if isEmpty {
            tokens.removeAll(keepingCapacity: true)
            start = 0
        } else if start >= Self.takenPlaces, start * 2 >= tokens.count {
            // At least as many were taken as move, so that each costs the same on average.
            tokens.removeFirst(start)
            start = 0
        }
        return token
    }
}
