import PKI

/// One end of a TCP or Unix connection, with or without TLS. Owns the descriptor.
///
/// Bytes that the kernel has no room for wait in `outbox`. While it is not empty, callers should not produce more bytes
/// to send.
struct Transport: ~Copyable {
    let descriptor: Int32
    var tls: TLSConnection?
    /// Bytes that could not be sent yet; encrypted if the connection uses TLS.
    private(set) var outbox = ByteQueue()
    /// Whether there may be something to read. Set by an event, cleared when a read returns less than asked for.
    var mayRead = false
    /// Whether an event has reported the end of the stream. No other event will report it, so reads continue until they
    /// reach the end.
    private var isEnding = false
    /// Received bytes that TLS has not read yet: the connection's turn was over, or its handshake waits for a
    /// certificate.
    private var undecrypted = ByteQueue()
    /// Whether TLS can return more data without receiving more bytes.
    private var hasMore = false
    /// The end of the stream, if it arrived together with the last bytes. The next `receive` returns it.
    private var pendingEnd: Received?
    private var quietRecords = QuietRecords()
    /// How many unacknowledged bytes the kernel held when this was last checked.
    private var untaken: Int64 = 0
    /// How many bytes were given to the kernel in total.
    private(set) var sentBytes: Int64 = 0

    init(descriptor: Int32, tls: consuming TLSConnection? = nil) {
        self.descriptor = descriptor
        self.tls = tls
    }

    deinit { Socket.close(descriptor) }

    var isFlushed: Bool { outbox.isEmpty }

    // MARK: Reading

    /// Records an event's readiness for reading.
    mutating func note(_ readiness: Readiness) {
        if readiness.intersects([.readable, .ended]) { mayRead = true }
        if readiness.intersects(.ended) { isEnding = true }
    }

    /// Whether nothing waits to be read, not even an end of the stream that no event has reported yet.
    mutating func isSilent() -> Bool {
        pendingEnd == nil && undecrypted.isEmpty && !(tls?.hasPending ?? false) && Socket.isSilent(descriptor)
    }

    enum Received {
        /// Bytes arrived; they are in the worker's `plain` memory. There may be none, if only TLS's own messages
        /// arrived.
        case bytes
        /// Nothing has arrived.
        case nothing
        /// The peer ended the stream; over TLS with close_notify.
        case ended
        /// The TLS stream ended without close_notify, so a part of it may be missing.
        case truncated
        /// The connection is broken.
        case failed(TransportFailure)
    }

    /// Receives once, into `memory.plain`. The end of the stream is returned only after the bytes before it.
    ///
    /// - Parameter second: The present time in whole seconds. The records without data are limited for each second.
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

    /// Lends received bytes to TLS: the bytes kept earlier, or if there are none, the bytes of one read from the
    /// network.
    mutating func receiveCiphertext(_ memory: borrowing WorkerMemory) -> IOResult {
        memory.cipher.clear()
        guard undecrypted.isEmpty, !hasMore else {
            lendUndecrypted(memory.wire)
            return .bytes(undecrypted.count)
        }
        let result = receiveRaw(into: memory.cipher)
        // The bytes stay in the scratch memory until TLS has read them.
        if case .bytes = result {
            unsafe memory.wire.lend(
                memory.cipher.bytes.buffer.baseAddress.unsafelyUnwrapped, count: memory.cipher.count)
        }
        return result
    }

    /// Lends the bytes that were kept earlier to TLS.
    func lendUndecrypted(_ wire: TLSWire) {
        // The bytes stay in the queue until TLS has read them.
        unsafe wire.lend(undecrypted.bytes.buffer.baseAddress.unsafelyUnwrapped, count: undecrypted.count)
    }

    /// Keeps the lent bytes that TLS has not read, for a later turn.
    mutating func keepUndecrypted(_ wire: TLSWire) {
        // `unread` lies in the scratch memory or in the queue, and is used before either changes.
        let unread = unsafe Bytes(wire.unread)
        if undecrypted.isEmpty {
            undecrypted.append(unread)
        } else {
            undecrypted.removeFirst(undecrypted.count - unread.count)
        }
        wire.revoke()
        if !undecrypted.isEmpty { mayRead = true }
    }

    /// Decrypts the bytes lent to TLS into `memory.plain`.
    mutating func decrypt(_ memory: borrowing WorkerMemory, second: Int64) -> Received {
        memory.plain.clear()
        var end: Received?
        hasMore = false
        // TLS writes only within the buffer and returns how many bytes it wrote.
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
        // TLS may have to send a reply to a key update, or an alert.
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
        // The kernel writes only within the buffer and returns how many bytes it wrote.
        unsafe scratch.fill(atMost: WorkerMemory.readBytes) { buffer in
            asked = buffer.count
            result = unsafe Socket.receive(descriptor, into: buffer)
            if case .bytes(let count) = result { return count }
            return 0
        }
        switch result {
        // A read that returns less than asked for has emptied the socket. A later end of the stream causes another
        // event.
        case .bytes(let count): if count < asked, !isEnding { mayRead = false }
        case .ended, .wouldBlock, .failed: mayRead = false
        }
        return result
    }

    // MARK: Writing

    /// Sends bytes, encrypted if the connection uses TLS. Bytes that the kernel has no room for wait in `outbox`.
    ///
    /// - Returns: The reason why the connection is broken; nil if it is not.
    mutating func send(_ bytes: Bytes, _ wire: TLSWire) -> TransportFailure? {
        guard tls != nil else { return sendRaw(bytes) }
        var offset = 0
        repeat {
            let size = min(bytes.count - offset, WorkerMemory.readBytes)
            // TLS has read the bytes when the call returns.
            if let failure = unsafe tls?.write(bytes[offset..<offset + size].buffer) { return .tls(failure) }
            if let failure = sendOutput(of: wire) { return failure }
            offset += size
        } while offset < bytes.count
        return nil
    }

    /// Sends the bytes that TLS has produced.
    mutating func sendOutput(of wire: TLSWire) -> TransportFailure? {
        // The output stays valid until `takeOutput`.
        let output = unsafe Bytes(wire.output)
        guard !output.isEmpty else { return nil }
        let failure = sendRaw(output)
        wire.takeOutput()
        return failure
    }

    private mutating func sendRaw(_ bytes: Bytes) -> TransportFailure? {
        guard bytes.count > 0 else { return nil }
        guard outbox.isEmpty else {
            outbox.append(bytes)
            return nil
        }
        // The kernel has copied the bytes when the call returns.
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

    /// Whether bytes wait to be sent while the peer has acknowledged at least `count` bytes since the last call, or
    /// since the kernel last had no room. An event reports room only when a large part of the kernel's buffer is free,
    /// which may be megabytes. A slow reader needs longer for so many bytes than a deadline allows.
    mutating func isTaking(atLeast count: Int64) -> Bool {
        !outbox.isEmpty && newlyTaken() >= count
    }

    /// Whether the peer has yet to acknowledge some of what was sent. Costs a system call.
    mutating func hasUntaken() -> Bool {
        _ = newlyTaken()
        return untaken > 0
    }

    /// Whether the peer has yet to acknowledge some of what was sent, and has acknowledged at least `count` bytes since the
    /// last call of this or `hasUntaken`.
    mutating func isReceived(atLeast count: Int64) -> Bool {
        newlyTaken() >= count && untaken > 0
    }

    /// How many bytes less the kernel holds than when this was last checked. Costs a system call.
    private mutating func newlyTaken() -> Int64 {
        let former = untaken
        untaken = Socket.untaken(descriptor)
        return former - untaken
    }

    /// How many of the bytes sent after the first `offset` bytes the peer has acknowledged. Costs a system call.
    func taken(of offset: Int64) -> Taken {
        let left = Socket.untaken(descriptor)
        return left == 0 ? .all : left < sentBytes - offset ? .some : .nothing
    }

    /// The part of the bytes that the peer has acknowledged.
    enum Taken {
        case all, some, nothing
    }

    /// Keeps bytes, to be sent together with the next ones. Only for connections without TLS, or before TLS is set up.
    mutating func hold(_ bytes: Bytes) { outbox.append(bytes) }

    /// Sends the waiting bytes, as many as the kernel has room for.
    mutating func flush() -> TransportFailure? {
        while !outbox.isEmpty {
            // The kernel has copied the bytes when the call returns.
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

    /// Handles a failed write: the waiting bytes are dropped. Received bytes can still be read, up to the end of the
    /// stream.
    mutating func giveUpWriting() {
        outbox.clear()
        (mayRead, isEnding) = (true, true)
    }

    /// Tells the peer that no more bytes will be sent. The waiting bytes are sent first.
    mutating func finishWriting(_ wire: TLSWire) {
        if tls != nil {
            tls?.shutDown()
            _ = sendOutput(of: wire)
        }
        if outbox.isEmpty { Socket.shutDownWriting(descriptor) }
    }
}

/// Limits how many records without data, such as key updates, a peer may send. Such a record costs more than one with
/// data, and some require a reply.
struct QuietRecords {
    /// The most such records within a second. Clients need few; servers send session tickets.
    static let limit = 32

    private var second: Int64 = 0
    private var count = 0

    /// Counts records; returns false if there are too many. While the peer does not read the replies (`isRead` is
    /// false), the count is not reset each second, since the replies occupy memory.
    mutating func admits(_ more: Int, second now: Int64, isRead: Bool) -> Bool {
        if now != second, isRead { (second, count) = (now, 0) }
        count += more
        return count <= Self.limit
    }
}

enum TransportFailure: Error, Equatable {
    /// A system call failed with this `errno`; 0 if the connection was closed.
    case system(Int32)
    case tls(TLSFailure)

    /// The reason in words, for the log.
    var reason: String {
        switch self {
        case .system(0): "the connection was closed"
        case .system(let code): SystemFailure.text(code)
        case .tls(let failure): failure.reason
        }
    }
}
