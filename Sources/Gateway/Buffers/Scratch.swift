/// A worker's memory for bytes that are received, decrypted, or being prepared for sending. Its contents are not kept
/// from one event to the next. Only the worker's thread may use the memory.
@safe
struct Scratch: ~Copyable {
    private let memory: UnsafeMutableBufferPointer<UInt8>
    private let used: UnsafeMutablePointer<Int>
    private let mustStay: UnsafeMutablePointer<Bool>

    init(capacity: Int) {
        unsafe memory = .allocate(capacity: capacity)
        unsafe used = .allocate(capacity: 1)
        unsafe used.initialize(to: 0)
        unsafe mustStay = .allocate(capacity: 1)
        unsafe mustStay.initialize(to: false)
    }

    deinit {
        unsafe memory.deallocate()
        unsafe used.deallocate()
        unsafe mustStay.deallocate()
    }

    var capacity: Int { unsafe memory.count }

    var count: Int { unsafe used.pointee }

    /// The number of bytes that can still be added.
    var room: Int { capacity - count }

    var bytes: Bytes {
        unsafe Bytes(UnsafePointer(memory.baseAddress.unsafelyUnwrapped), count: count)
    }

    func clear() {
        unsafe assert(!mustStay.pointee, "the bytes are in use")
        unsafe used.pointee = 0
    }

    /// Runs `body`, which uses the contents, so nothing may clear them meanwhile. Debug builds check that.
    func keeping(while body: () -> Void) {
        let before = unsafe mustStay.pointee
        unsafe mustStay.pointee = true
        body()
        unsafe mustStay.pointee = before
    }

    /// Lets `body` write into the free part of the memory. `body` returns how many bytes it has written.
    @unsafe
    func fill(atMost limit: Int = .max, _ body: (UnsafeMutableBufferPointer<UInt8>) -> Int) {
        let free = unsafe UnsafeMutableBufferPointer(rebasing: memory[count..<count + min(room, limit)])
        let written = unsafe body(free)
        precondition(written >= 0 && written <= free.count)
        unsafe used.pointee += written
    }

    /// Traps if the bytes don't fit.
    func append(_ bytes: Bytes) {
        precondition(bytes.count <= room, "the scratch memory is full")
        guard bytes.count > 0 else { return }
        unsafe (memory.baseAddress.unsafelyUnwrapped + count).update(
            from: bytes.buffer.baseAddress.unsafelyUnwrapped, count: bytes.count)
        unsafe used.pointee += bytes.count
    }

    /// Inlined, so that the compiler turns a constant text into a few store instructions.
    @inline(__always)
    func append(_ text: StaticString) {
        precondition(text.utf8CodeUnitCount <= room, "the scratch memory is full")
        unsafe UnsafeMutableRawPointer(memory.baseAddress.unsafelyUnwrapped + count).copyMemory(
            from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
        unsafe used.pointee += text.utf8CodeUnitCount
    }

    func append(byte: UInt8) {
        precondition(room > 0, "the scratch memory is full")
        unsafe memory[count] = byte
        unsafe used.pointee += 1
    }

    func append(_ bytes: Span<UInt8>) {
        precondition(bytes.count <= room, "the scratch memory is full")
        unsafe bytes.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return }
            unsafe append(Bytes(start, count: buffer.count))
        }
    }

    func append(_ bytes: [UInt8]) {
        unsafe bytes.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return }
            unsafe append(Bytes(start, count: buffer.count))
        }
    }

    func append(decimal value: UInt64) { append(number: value, radix: 10) }

    func append(hex value: UInt64) { append(number: value, radix: 16) }

    /// Replaces some bytes with a number in hexadecimal digits and moves the bytes that follow. The number must have at
    /// least as many digits as there are bytes to replace.
    func replace(_ range: Range<Int>, withHex value: UInt64) {
        let end = count
        // The number of bytes by which the contents grow. Each digit stands for four bits of `value`.
        let more = max(1, (67 - value.leadingZeroBitCount) / 4) - range.count
        precondition(range.lowerBound >= 0 && range.upperBound <= end && more >= 0 && more <= room)
        let follows = unsafe memory.baseAddress.unsafelyUnwrapped + range.upperBound
        // This is safe, since the source and the target lie within the memory. `update` allows them to overlap.
        unsafe (follows + more).update(from: follows, count: end - range.upperBound)
        unsafe used.pointee = range.lowerBound
        append(hex: value)
        unsafe used.pointee = end + more
    }

    /// Inlined, since the compiler then knows the radix and turns the division into a multiplication.
    @inline(__always)
    private func append(number value: UInt64, radix: UInt64) {
        var digits = 1
        var rest = value / radix
        while rest > 0 {
            digits &+= 1
            rest /= radix
        }
        precondition(digits <= room, "the scratch memory is full")
        let start = count
        var at = start &+ digits
        rest = value
        while at > start {
            at &-= 1
            let digit = UInt8(truncatingIfNeeded: rest % radix)
            // This is safe, since `at` lies within the room that was checked above.
            unsafe memory[at] = digit < 10 ? 0x30 &+ digit : 0x57 &+ digit
            rest /= radix
        }
        unsafe used.pointee = start &+ digits
    }
}
