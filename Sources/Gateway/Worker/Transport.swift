import PKI

/// One end of a TCP or Unix connection, with TLS or without: how bytes get in and out. Owns the descriptor.
///
/// What the kernel has no room for waits in `outbox`; as long as something waits there, nobody should produce more.
struct Transport: ~Copyable {
    let descriptor: Int32
    var tls: TLSConnection?
    /// What could not be sent yet, encrypted where the connection is.
    private(set) var outbox = ByteQueue()
    /// Whether something may be there to read: set by an event, cleared by a read that came back short.
    var mayRead = false
    /// Whether an event has told of the end, which no other will: reading goes on until it comes.
    private var isEnding = false
    /// What was received and not decrypted yet, since it was work enough for one turn.
    private var undecrypted = ByteQueue()
    /// Whether TLS has more to give without another byte of the network.
    private var hasMore = false
    /// The end that came with the bytes that were received last: `receive` tells of it next.
    private var pendingEnd: Received?
    private var quietRecords = QuietRecords()
    /// How many bytes the kernel held that the other end had not taken, when that was last looked at.
    private var untaken: Int64 = 0
    /// How many bytes the kernel has been given to send.
    private(set) var sentBytes: Int64 = 0

    init(descriptor: Int32, tls: consuming TLSConnection? = nil) {
        self.descriptor = descriptor
        self.tls = tls
    }

    deinit { Socket.close(descriptor) }

    var isFlushed: Bool { outbox.isEmpty }

    // MARK: Reading

    /// Takes note of what an event says about reading.
    mutating func note(_ readiness: Readiness) {
        if readiness.intersects([.readable, .ended]) { mayRead = true }
        if readiness.intersects(.ended) { isEnding = true }
    }

    /// Whether nothing waits to be read, not even an end that no event has told of yet.
    mutating func isSilent() -> Bool {
        pendingEnd == nil && undecrypted.isEmpty && !(tls?.hasPending ?? false) && Socket.isSilent(descriptor)
    }

    /// What came of reading.
    enum Received {
        /// Bytes, in the worker's `plain` scratch memory; none when only TLS's own messages have come.
        case bytes
        /// Nothing is there.
        case nothing
        /// The other end has said that nothing more will come. Over TLS: by close_notify.
        case ended
        /// A TLS connection has ended without close_notify: something may have been cut off.
        case truncated
        /// It is broken.
        case failed(TransportFailure)
    }

    /// Receives once, into the memory's `plain`. An end is told of after the bytes that came before it.
    ///
    /// - Parameter second: The time in whole seconds, by which records without data are limited.
    mutating func receive(_ memory: borrowing WorkerMemory, second: Int64) -> Received {
        memory.plain.clear()
        if let end = pendingEnd {
            (pendingEnd, mayRead) = (nil, false)
            return end
        }
        guard tls != nil else {
            switch receiveRaw(into: memory.plain) {
            case .bytes: return .bytes
            case .wouldBlock: return .nothing
            case .ended: return .ended
            case .failed(let code): return .failed(.system(code))
            }
        }
        switch receiveCiphertext(memory) {
        case .bytes: return decrypt(memory, second: second)
        case .wouldBlock: return .nothing
        case .ended: return .truncated
        case .failed(let code): return .failed(.system(code))
        }
    }

    /// Lends TLS what was received earlier, or else receives once, as it comes from the network.
    mutating func receiveCiphertext(_ memory: borrowing WorkerMemory) -> IOResult {
        memory.cipher.clear()
        guard undecrypted.isEmpty, !hasMore else {
            lendUndecrypted(memory.wire)
            return .bytes(undecrypted.count)
        }
        let result = receiveRaw(into: memory.cipher)
        // It stays in the scratch memory until TLS has taken it.
        if case .bytes = result {
            unsafe memory.wire.lend(
                memory.cipher.bytes.buffer.baseAddress.unsafelyUnwrapped, count: memory.cipher.count)
        }
        return result
    }

    /// Lends TLS what was received earlier.
    func lendUndecrypted(_ wire: TLSWire) {
        // It stays in the queue until TLS has taken it.
        unsafe wire.lend(undecrypted.bytes.buffer.baseAddress.unsafelyUnwrapped, count: undecrypted.count)
    }

    /// Keeps what TLS has not taken of what it was lent, for another turn.
    mutating func keepUndecrypted(_ wire: TLSWire) {
        let unread = unsafe wire.unread
        if undecrypted.isEmpty {
            if let start = unread.baseAddress { unsafe undecrypted.append(Bytes(start, count: unread.count)) }
        } else {
            undecrypted.removeFirst(undecrypted.count - unread.count)
        }
        wire.revoke()
        if !undecrypted.isEmpty { mayRead = true }
    }

    /// Decrypts what was lent to TLS, into `plain`.
    mutating func decrypt(_ memory: borrowing WorkerMemory, second: Int64) -> Received {
        memory.plain.clear()
        var end: Received?
        hasMore = false
        unsafe memory.plain.fill { buffer in
            guard let result = unsafe tls?.read(into: buffer) else { return 0 }
            switch result.next {
            case .needsInput: break
            case .more: hasMore = true
            case .closed: end = .ended
            case .failed(let failure): end = .failed(.tls(failure))
            }
            return result.count
        }
        if hasMore || !undecrypted.isEmpty { keepUndecrypted(memory.wire) }
        if hasMore { mayRead = true }
        // An answer to a key update, or an alert.
        if let failure = sendOutput(of: memory.wire) { end = .failed(failure) }
        let quiet = memory.wire.quietRecords
        if quiet > 0, !quietRecords.admits(quiet, second: second, isRead: isFlushed) {
            end = .failed(.tls(.tooManyQuietRecords))
        }
        guard let end else { return .bytes }
        guard memory.plain.count > 0 else { return end }
        (pendingEnd, mayRead) = (end, true)
        return .bytes
    }

    private mutating func receiveRaw(into scratch: borrowing Scratch) -> IOResult {
        var result = IOResult.wouldBlock
        let descriptor = descriptor
        var asked = 0
        unsafe scratch.fill(atMost: WorkerMemory.readBytes) { buffer in
            asked = buffer.count
            result = unsafe Socket.receive(descriptor, into: buffer)
            if case .bytes(let count) = result { return count }
            return 0
        }
        switch result {
        // A short read has emptied the socket; an end that comes later is an event of its own.
        case .bytes(let count): if count < asked, !isEnding { mayRead = false }
        case .ended, .wouldBlock, .failed: mayRead = false
        }
        return result
    }

    // MARK: Writing

    /// Sends bytes, encrypted where the connection is; what does not fit waits.
    ///
    /// - Returns: Why the connection is broken; nil when it is not.
    mutating func send(_ bytes: Bytes, _ wire: TLSWire) -> TransportFailure? {
        guard tls != nil else { return sendRaw(bytes) }
        var offset = 0
        repeat {
            let size = min(bytes.count - offset, WorkerMemory.readBytes)
            if let failure = unsafe tls?.write(bytes[offset..<offset + size].buffer) { return .tls(failure) }
            if let failure = sendOutput(of: wire) { return failure }
            offset += size
        } while offset < bytes.count
        return nil
    }

    /// Sends what TLS has left to be sent.
    mutating func sendOutput(of wire: TLSWire) -> TransportFailure? {
        let output = unsafe wire.output
        guard output.count > 0, let start = output.baseAddress else { return nil }
        let failure = unsafe sendRaw(Bytes(start, count: output.count))
        wire.takeOutput()
        return failure
    }

    private mutating func sendRaw(_ bytes: Bytes) -> TransportFailure? {
        guard bytes.count > 0 else { return nil }
        guard outbox.isEmpty else {
            outbox.append(bytes)
            return nil
        }
        switch unsafe Socket.send(descriptor, bytes.buffer) {
        case .bytes(let count):
            sentBytes += Int64(count)
            if count < bytes.count { keepUnsent(bytes.from(count)) }
            return nil
        case .wouldBlock:
            keepUnsent(bytes)
            return nil
        case .ended: return .system(0)
        case .failed(let code): return .system(code)
        }
    }

    private mutating func keepUnsent(_ bytes: Bytes) {
        outbox.append(bytes)
        untaken = Socket.untaken(descriptor)
    }

    /// Whether something waits to be sent while the other end has taken so many bytes of what the kernel holds since the last
    /// call, or since the kernel last had no room. The kernel tells of room only when a good part of its buffer is free, and
    /// that may be megabytes: a slow reader needs more time for them than for a deadline.
    mutating func isTaking(atLeast count: Int64) -> Bool {
        guard !outbox.isEmpty else { return false }
        let former = untaken
        untaken = Socket.untaken(descriptor)
        return former - untaken >= count
    }

    /// How much the other end has taken of what was sent behind the first `offset` bytes: a system call.
    func taken(of offset: Int64) -> Taken {
        let left = Socket.untaken(descriptor)
        return left == 0 ? .all : left < sentBytes - offset ? .some : .nothing
    }

    /// How much the other end has taken.
    enum Taken {
        case all, some, nothing
    }

    /// Puts bytes by to be sent with the next that are sent; only without TLS or before it is up.
    mutating func hold(_ bytes: Bytes) { outbox.append(bytes) }

    /// Sends what waits, as far as it goes.
    mutating func flush() -> TransportFailure? {
        while !outbox.isEmpty {
            switch unsafe Socket.send(descriptor, outbox.bytes.buffer) {
            case .bytes(let count):
                sentBytes += Int64(count)
                outbox.removeFirst(count)
            case .wouldBlock:
                untaken = Socket.untaken(descriptor)
                return nil
            case .ended: return .system(0)
            case .failed(let code): return .system(code)
            }
        }
        return nil
    }

    /// Writing has failed: what waits will never leave. What has come is still to be read, up to its end.
    mutating func giveUpWriting() {
        outbox.clear()
        (mayRead, isEnding) = (true, true)
    }

    /// Says to the other end that nothing more will come, once everything is sent.
    mutating func finishWriting(_ wire: TLSWire) {
        if tls != nil {
            tls?.shutDown()
            _ = sendOutput(of: wire)
        }
        if outbox.isEmpty { Socket.shutDownWriting(descriptor) }
    }
}

/// Bounds how many records without data, such as key updates, a connection may send: each costs more than one with data, and
/// some of them are answered.
struct QuietRecords {
    /// How many may come within a second: clients need a few in a connection's life, servers send tickets.
    static let limit = 32

    private var second: Int64 = 0
    private var count = 0

    /// Takes note of records; false when they are too many. As long as the other end does not read what it was sent
    /// (`isRead`), the count goes on from second to second, since the answers wait in memory.
    mutating func admits(_ more: Int, second now: Int64, isRead: Bool) -> Bool {
        if now != second, isRead { (second, count) = (now, 0) }
        count += more
        return count <= Self.limit
    }
}

/// Why a connection broke.
enum TransportFailure: Error, Equatable {
    /// A system call, with its `errno`; 0: the connection was closed.
    case system(Int32)
    /// TLS.
    case tls(TLSFailure)

    /// The reason for the log.
    var reason: String {
        switch self {
        case .system(0): "the connection was closed"
        case .system(let code): SystemFailure.text(code)
        case .tls(let failure): failure.reason
        }
    }
}
