/// A first-in, first-out queue of tokens. Its memory is kept for later tokens.
struct TokenQueue {
    private var tokens: [Token] = []
    private var start = 0

    /// How many tokens must have been removed before the waiting tokens are moved to the front of the array.
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
            // At most as many tokens are moved as were removed. So on average each token is moved about once.
            tokens.removeFirst(start)
            start = 0
        }
        return token
    }
}
