/// Bytes that must wait, such as an incomplete head or output that a slow receiver can't accept yet. An empty queue
/// usually has no memory.
@safe
struct ByteQueue: ~Copyable {
    private var memory: UnsafeMutableBufferPointer<UInt8>?
    private var start = 0
    private var end = 0

    init() {}

    deinit { unsafe memory?.deallocate() }

    var count: Int { end - start }
    var isEmpty: Bool { start == end }

    /// The view is valid until the queue next changes.
    var bytes: Bytes {
        guard let memory = unsafe memory, let base = memory.baseAddress else {
            return unsafe Bytes(Self.nothing, count: 0)
        }
        return unsafe Bytes(UnsafePointer(base) + start, count: count)
    }

    /// The bytes must not point into this queue's memory, which may move.
    mutating func append(_ bytes: Bytes) {
        guard bytes.count > 0 else { return }
        reserve(bytes.count)
        guard let memory = unsafe memory, let base = memory.baseAddress else { return }
        // `reserve` has made room for the bytes behind `end`.
        unsafe (base + end).update(from: bytes.buffer.baseAddress.unsafelyUnwrapped, count: bytes.count)
        end += bytes.count
    }

    mutating func removeFirst(_ count: Int) {
        precondition(count >= 0 && count <= self.count)
        start += count
        if start == end { clear() }
    }

    /// Frees the memory too.
    mutating func clear() {
        unsafe memory?.deallocate()
        unsafe memory = nil
        (start, end) = (0, 0)
    }

    /// Removes all bytes. Memory of at most `limit` bytes is kept for the next use; larger memory is freed.
    mutating func clear(keepingAtMost limit: Int) {
        guard let memory = unsafe memory, memory.count <= limit else { return clear() }
        (start, end) = (0, 0)
    }

    private mutating func reserve(_ more: Int) {
        guard let memory = unsafe memory, let base = memory.baseAddress else {
            unsafe self.memory = .allocate(capacity: max(512, more))
            return
        }
        if end + more <= memory.count { return }
        let needed = count + more
        if needed <= memory.count, start > 0 {
            // Both ranges lie within the memory. They may overlap, which `update` allows.
            unsafe base.update(from: base + start, count: count)
        } else {
            let larger = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(needed, memory.count * 2))
            unsafe larger.baseAddress.unsafelyUnwrapped.initialize(from: base + start, count: count)
            unsafe memory.deallocate()
            unsafe self.memory = larger
        }
        (start, end) = (0, count)
    }

    /// A valid address for views of an empty queue.
    private nonisolated(unsafe) static let nothing: UnsafeMutablePointer<UInt8> = .allocate(capacity: 1)
}
