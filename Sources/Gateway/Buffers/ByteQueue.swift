import Glibc

/// Bytes that must wait, such as an incomplete head, or output that a slow receiver can't accept yet. An empty queue
/// frees its memory, unless `clear(keepingAtMost:)` keeps it.
@safe
struct ByteQueue: ~Copyable {
    private var memory: UnsafeMutableBufferPointer<UInt8>?
    private var start = 0
    private var end = 0

    init() {}

    deinit { unsafe Self.free(memory) }

    var count: Int { end - start }
    var isEmpty: Bool { start == end }

    /// The view is valid until the queue next changes.
    var bytes: Bytes {
        guard let memory = unsafe memory, let base = memory.baseAddress else {
            return unsafe Bytes(Self.nothing, count: 0)
        }
        return unsafe Bytes(UnsafePointer(base) + start, count: count)
    }

    /// The bytes must not point into this queue's own memory, which may move.
    mutating func append(_ bytes: Bytes) {
        guard bytes.count > 0 else { return }
        reserve(bytes.count)
        guard let memory = unsafe memory, let base = memory.baseAddress else { return }
        // This is safe, since `reserve` has made room for the bytes behind `end`.
        unsafe (base + end).update(from: bytes.buffer.baseAddress.unsafelyUnwrapped, count: bytes.count)
        end += bytes.count
    }

    mutating func removeFirst(_ count: Int) {
        precondition(count >= 0 && count <= self.count)
        start += count
        if start == end { clear() }
    }

    /// Removes all bytes and frees the memory.
    mutating func clear() {
        unsafe Self.free(memory)
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
            unsafe self.memory = Self.allocate(max(512, more))
            return
        }
        if end + more <= memory.count { return }
        let needed = count + more
        if needed <= memory.count, start > 0 {
            // This is safe, since the source and the target lie within the memory. `update` allows them to overlap.
            unsafe base.update(from: base + start, count: count)
        } else {
            let larger = unsafe Self.allocate(max(needed, memory.count * 2))
            unsafe larger.baseAddress.unsafelyUnwrapped.initialize(from: base + start, count: count)
            unsafe Self.free(memory)
            unsafe self.memory = larger
        }
        (start, end) = (0, count)
    }

    /// Swift's own `allocate` calls posix_memalign, which takes three times as long.
    private static func allocate(_ count: Int) -> UnsafeMutableBufferPointer<UInt8> {
        guard let block = unsafe malloc(count) else { fatalError("out of memory") }
        return unsafe UnsafeMutableBufferPointer(start: block.bindMemory(to: UInt8.self, capacity: count), count: count)
    }

    private static func free(_ memory: UnsafeMutableBufferPointer<UInt8>?) {
        // This is safe, since nothing refers to the memory of a queue but the queue.
        unsafe Glibc.free(memory?.baseAddress)
    }

    /// A queue without memory uses this address for its views. This is safe, since no byte is ever read or written
    /// there.
    private nonisolated(unsafe) static let nothing: UnsafeMutablePointer<UInt8> = .allocate(capacity: 1)
}
