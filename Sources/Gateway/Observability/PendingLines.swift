/// Lines that wait to be written, in whole or, of the first one, what is left of it. Pure: the caller writes.
///
/// A line that was begun is gone on with at the very byte, however late there is room for it again. So no line ever stands
/// broken within a file.
struct PendingLines {
    /// What came of a write.
    enum Outcome: Equatable {
        case written(Int)
        /// There is no room now; it will be told when there is.
        case wouldBlock
        /// The `errno`.
        case failed(Int32)
    }

    private var chunks: [[UInt8]] = []
    /// The chunk that is being written.
    private var first = 0
    /// How much of it is written.
    private var offset = 0
    private static let lineEnd = UInt8(ascii: "\n")

    /// Whether a line end goes first: another one's line stands in the file without one.
    var owesLineEnd = false

    var isEmpty: Bool { first == chunks.count }

    /// How many bytes wait.
    private(set) var bytes = 0

    /// How many lines are not written to their end.
    var lines: Int {
        guard !isEmpty else { return 0 }
        let rest = chunks[(first + 1)...].reduce(0) { $0 + $1.count { $0 == Self.lineEnd } }
        return rest + chunks[first][offset...].count { $0 == Self.lineEnd }
    }

    /// Puts whole lines at the end.
    mutating func append(_ lines: [UInt8]) {
        guard !lines.isEmpty else { return }
        chunks.append(lines)
        bytes += lines.count
    }

    /// Writes until nothing waits or a write does not go on, which it says. `limit`: the most bytes of one write, which then
    /// ends with a line where it can.
    mutating func write(atMost limit: Int = .max, _ write: (ArraySlice<UInt8>) -> Outcome) -> Outcome? {
        while !isEmpty {
            let outcome = write(owesLineEnd ? [Self.lineEnd] : piece(atMost: limit))
            guard case .written(let count) = outcome else { return outcome }
            if !owesLineEnd { advance(by: count) } else if count > 0 { owesLineEnd = false }
        }
        return nil
    }

    /// Goes back to the beginning of the line that was begun: the rest goes to another file.
    mutating func restartLine() {
        guard !isEmpty else { return }
        while offset > 0, chunks[first][offset - 1] != Self.lineEnd {
            offset -= 1
            bytes += 1
        }
    }

    /// Gives up what waits, and says how many lines that were.
    mutating func giveUp() -> Int {
        defer { self = PendingLines() }
        return lines
    }

    private func piece(atMost limit: Int) -> ArraySlice<UInt8> {
        let rest = chunks[first][offset...]
        guard rest.count > limit else { return rest }
        let piece = rest.prefix(limit)
        return piece.lastIndex(of: Self.lineEnd).map { rest[...$0] } ?? piece
    }

    private mutating func advance(by count: Int) {
        offset += count
        bytes -= count
        guard offset == chunks[first].count else { return }
        // What is written is let go at once: it may be much.
        chunks[first] = []
        (first, offset) = (first + 1, 0)
        if isEmpty { (chunks, first) = ([], 0) }
    }
}
