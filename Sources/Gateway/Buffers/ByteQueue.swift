/// Bytes that must wait: a head that is not whole, what a slow receiver has not taken. It has no memory while it is empty.
@safe
struct ByteQueue: ~Copyable {
    private var memory: UnsafeMutableBufferPointer<UInt8>?
    private var start = 0
    private var end = 0

    init() {}

    deinit { unsafe memory?.deallocate() }

    var count: Int { end - start }
    var isEmpty: Bool { start == end }

    /// What waits, until the queue is next changed.
    var bytes: Bytes {
        guard let memory = unsafe memory, let base = memory.baseAddress else {
            return unsafe Bytes(Self.nothing, count: 0)
        }
        return unsafe Bytes(UnsafePointer(base) + start, count: count)
    }

    /// Puts bytes at the end. They must not be this queue's own.
    mutating func append(_ bytes: Bytes) {
        guard bytes.count > 0 else { return }
        reserve(bytes.count)
        guard let memory = unsafe memory, let base = memory.baseAddress else { return }
        // There is room for them behind `end`.
        unsafe (base + end).update(from: bytes.buffer.baseAddress.unsafelyUnwrapped, count: bytes.count)
        end += bytes.count
    }

    /// Takes bytes away at the front.
    mutating func removeFirst(_ count: Int) {
        precondition(count >= 0 && count <= self.count)
        start += count
        if start == end { clear() }
    }

    /// Takes everything away and gives the memory back.
    mutating func clear() {
        unsafe memory?.deallocate()
        unsafe memory = nil
        (start, end) = (0, 0)
    }

    /// Takes everything away; memory of at most so many bytes is kept for the next use.
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
            // Both lie within the memory; they may overlap.
            unsafe base.update(from: base + start, count: count)
        } else {
            let larger = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(needed, memory.count * 2))
            unsafe larger.baseAddress.unsafelyUnwrapped.initialize(from: base + start, count: count)
            unsafe memory.deallocate()
            unsafe self.memory = larger
        }
        (start, end) = (0, count)
    }

    /// Something to point at when there is nothing.
    private nonisolated(unsafe) static let nothing: UnsafeMutablePointer<UInt8> = .allocate(capacity: 1)
}
