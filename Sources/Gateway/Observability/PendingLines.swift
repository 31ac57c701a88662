/// Lines that wait to be written. The first line may already be written in part. This type does no I/O; its caller
/// writes.
///
/// After an interruption, writing continues at the next byte, so a file never contains a broken line.
struct PendingLines {
    enum Outcome: Equatable {
        case written(Int)
        /// The destination has no room now. poll(2) reports when there is room.
        case wouldBlock
        /// The write has failed with this `errno`.
        case failed(Int32)
    }

    private var chunks: [[UInt8]] = []
    /// The index of the chunk that is written next.
    private var first = 0
    /// How many bytes of the chunk at `first` were already written.
    private var offset = 0
    private static let lineEnd = UInt8(ascii: "\n")

    /// Whether a line end must be written first, because the file ends with an unfinished line of another process.
    var owesLineEnd = false

    var isEmpty: Bool { first == chunks.count }

    /// The number of bytes that wait to be written.
    private(set) var bytes = 0

    /// The number of lines that are not completely written.
    var lines: Int {
        guard !isEmpty else { return 0 }
        let rest = chunks[(first + 1)...].reduce(0) { $0 + $1.count { $0 == Self.lineEnd } }
        return rest + chunks[first][offset...].count { $0 == Self.lineEnd }
    }

    /// Each line must end with a line end.
    mutating func append(_ lines: [UInt8]) {
        guard !lines.isEmpty else { return }
        chunks.append(lines)
        bytes += lines.count
    }

    /// Writes all bytes and returns nil. If a write fails or would block, this outcome is returned at once.
    ///
    /// Each call of `write` gets at most `limit` bytes. If more bytes wait, the bytes of the call end with a whole
    /// line, if possible.
    mutating func write(atMost limit: Int = .max, _ write: (ArraySlice<UInt8>) -> Outcome) -> Outcome? {
        while !isEmpty {
            let outcome = write(owesLineEnd ? [Self.lineEnd] : piece(atMost: limit))
            guard case .written(let count) = outcome else { return outcome }
            if !owesLineEnd { advance(by: count) } else if count > 0 { owesLineEnd = false }
        }
        return nil
    }

    /// Goes back to the start of a partly written line, so that another file gets the whole line.
    mutating func restartLine() {
        guard !isEmpty else { return }
        while offset > 0, chunks[first][offset - 1] != Self.lineEnd {
            offset -= 1
            bytes += 1
        }
    }

    /// Drops all lines. Returns how many lines were not completely written.
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
        // The memory of a written chunk is freed at once, since a chunk may be large.
        chunks[first] = []
        (first, offset) = (first + 1, 0)
        if isEmpty { (chunks, first) = ([], 0) }
    }
}
