/// The part of a message's body that waits until the peer can take it.
struct StreamBody {
    private var bytes: [UInt8] = []
    private var start = 0
    /// Whether no more bytes will be appended.
    var isEnding = false
    /// How many bytes were moved in total.
    private(set) var moved: Int64 = 0

    var count: Int { bytes.count - start }

    mutating func append(_ more: Span<UInt8>) {
        if start > 0, start >= count {
            bytes.removeFirst(start)
            start = 0
        }
        bytes.append(more)
    }

    /// Moves the first bytes to the end of `output`.
    mutating func move(_ count: Int, to output: inout [UInt8]) {
        output += bytes[start..<start + count]
        start += count
        moved += Int64(count)
        guard start == bytes.count else { return }
        bytes.removeAll(keepingCapacity: true)
        start = 0
    }
}
