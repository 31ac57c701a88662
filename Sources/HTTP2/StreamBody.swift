/// The part of a message's body that waits until the peer can take it.
@safe
struct StreamBody {
    private var bytes: [UInt8] = []
    private var start = 0
    /// The bytes that the caller lends while frames are written; nil at all other times. Nothing is lent unless `bytes` is
    /// empty.
    private var lent: UnsafeBufferPointer<UInt8>?
    /// Whether no more bytes will be appended.
    var isEnding = false
    /// How many bytes were moved in total.
    private(set) var moved: Int64 = 0

    var count: Int { unsafe bytes.count - start + (lent?.count ?? 0) }

    mutating func append(_ more: Span<UInt8>) {
        if start > 0, start >= count {
            bytes.removeFirst(start)
            start = 0
        }
        bytes.append(more)
    }

    /// Lends the body more bytes. No others may wait. They must stay valid until `keepLent`.
    @unsafe
    mutating func lend(_ more: UnsafeBufferPointer<UInt8>) {
        precondition(count == 0)
        unsafe lent = more
    }

    /// Copies the lent bytes that were not moved.
    mutating func keepLent() {
        guard let rest = unsafe lent else { return }
        unsafe lent = nil
        unsafe bytes.append(contentsOf: rest)
    }

    /// Moves the first bytes to the end of `output`.
    mutating func move(_ count: Int, to output: inout [UInt8]) {
        moved += Int64(count)
        if let lent = unsafe lent {
            unsafe output.append(contentsOf: lent[..<count])
            unsafe self.lent = UnsafeBufferPointer(rebasing: lent[count...])
            return
        }
        output += bytes[start..<start + count]
        start += count
        guard start == bytes.count else { return }
        bytes.removeAll(keepingCapacity: true)
        start = 0
    }
}
