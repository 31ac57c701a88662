import HTTP2
import PKI

/// The gateway's end of a connection over TCP or a Unix socket, with or without TLS, or of a stream of HTTP/2. A transport
/// owns its descriptor; a stream has none.
///
/// Bytes that don't fit into the kernel's send buffer wait in `outbox`. While bytes wait, the caller should not send
/// more.
struct Transport: ~Copyable {
    let descriptor: Int32
    /// The stream of HTTP/2 that this transport reads and writes; nil for a connection. The connection that carries the
    /// stream has a transport of its own.
    let stream: HTTP2Stream?
    /// Whether `stream` is not nil. Testing this flag costs less than testing a reference.
    private let isStream: Bool
    var tls: TLSConnection?
    /// Bytes that could not be sent yet, in encrypted form if the connection uses TLS.
    private(set) var outbox = ByteQueue()
    /// Whether there may be something to read. An event sets `mayRead`. A read that returns fewer bytes than requested
    /// clears it.
    var mayRead = false
    /// Whether an event has reported the end of the stream. No other event will report the end, so reading continues
    /// until the end is reached.
    private var isEnding = false
    /// Received bytes that TLS has not read yet. Either the connection's turn was over, or the handshake waits for a
    /// certificate.
    private var undecrypted = ByteQueue()
    /// Whether TLS can return more data without receiving more bytes.
    private var hasMore = false
    /// The end of the stream, if it arrived together with the last bytes. The next `receive` returns it.
    private var pendingEnd: Received?
    private var quietRecords: QuietRecords
    /// How many bytes the peer had not acknowledged at the last check.
    private var untaken: Int64 = 0
    /// How many bytes the kernel has accepted in total.
    private(set) var sentBytes: Int64 = 0

    init(descriptor: Int32, tls: consuming TLSConnection? = nil, quietRecords limit: Int = QuietRecords.ofClients) {
        self.descriptor = descriptor
        self.tls = tls
        stream = nil
        isStream = false
        quietRecords = QuietRecords(limit: limit)
    }

    init(stream: HTTP2Stream) {
        descriptor = -1
        self.stream = stream
        isStream = true
        quietRecords = QuietRecords(limit: QuietRecords.ofClients)
    }

    deinit { if !isStream { Socket.close(descriptor) } }

    var isFlushed: Bool { unsentBytes == 0 }
    /// How many bytes wait until the peer reads.
    var unsentBytes: Int { isStream ? stream?.waiting ?? 0 : outbox.count }

    // MARK: Reading

    mutating func note(_ readiness: Readiness) {
        if readiness.intersects([.readable, .ended]) { mayRead = true }
        if readiness.intersects(.ended) { isEnding = true }
    }

    /// Notes that the peer has sent its whole message on a stream of HTTP/2. The next `receive` returns the end.
    mutating func noteEnd() { mayRead = true }

    /// Whether there is nothing to read. The end of the stream also counts as something to read, even if no event has
    /// reported it yet.
    mutating func isSilent() -> Bool {
        pendingEnd == nil && undecrypted.isEmpty && !(tls?.hasPending ?? false) && Socket.isSilent(descriptor)
    }

    enum Received {
        /// Bytes have arrived and are in the worker's memory `plain`. `plain` is empty if only TLS's own messages have
        /// arrived.
        case bytes
        case nothing
        /// The peer ended the stream. Over TLS, the peer sent close_notify.
        case ended
        /// The TLS stream ended without close_notify, so a part of the stream may be missing.
        case truncated
        case failed(TransportFailure)
    }

    /// Receives once, into `memory.plain`. If the end of the stream arrives together with bytes, the next call returns
    /// the end. The bytes of a stream of HTTP/2 come from its connection, so only the end comes from here.
    ///
    /// - Parameter second: The present time in whole seconds. A peer may send only a limited number of records without
    ///   data each second.
    mutating func receive(_ memory: borrowing WorkerMemory, second: Int64) -> Received {
        guard !isStream else {
            mayRead = false
            return .ended
        }
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

    /// Lends received bytes to TLS. Bytes that were kept earlier are lent first. Without such bytes, the call reads
    /// from the network once.
    mutating func receiveCiphertext(_ memory: borrowing WorkerMemory) -> IOResult {
        memory.cipher.clear()
        guard undecrypted.isEmpty, !hasMore else {
            lendUndecrypted(memory.wire)
            return .bytes(undecrypted.count)
        }
        let result = receiveRaw(into: memory.cipher)
        // This is safe, since the bytes stay unchanged in the scratch memory until TLS has read them.
        if case .bytes = result {
            unsafe memory.wire.lend(
                memory.cipher.bytes.buffer.baseAddress.unsafelyUnwrapped, count: memory.cipher.count)
        }
        return result
    }

    /// Lends TLS the bytes that were kept earlier.
    func lendUndecrypted(_ wire: TLSWire) {
        // This is safe, since the bytes stay unchanged in the queue until TLS has read them.
        unsafe wire.lend(undecrypted.bytes.buffer.baseAddress.unsafelyUnwrapped, count: undecrypted.count)
    }

    /// Keeps the bytes that TLS has not read, for a later turn.
    mutating func keepUndecrypted(_ wire: TLSWire) {
        // This is safe, since `unread` lies in the scratch memory or in the queue, and is used before either of them
        // changes.
        let unread = unsafe Bytes(wire.unread)
        if undecrypted.isEmpty {
            undecrypted.append(unread)
        } else {
            undecrypted.removeFirst(undecrypted.count - unread.count)
        }
        wire.revoke()
        if !undecrypted.isEmpty { mayRead = true }
    }

    /// Decrypts the bytes that were lent to TLS. The decrypted bytes are in `memory.plain`.
    mutating func decrypt(_ memory: borrowing WorkerMemory, second: Int64) -> Received {
        memory.plain.clear()
        var end: Received?
        hasMore = false
        // This is safe, since TLS writes only within the buffer and returns how many bytes it wrote.
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
        // TLS may have to send an alert, or the reply to a key update.
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
        // This is safe, since the kernel writes only within the buffer and returns how many bytes it wrote.
        unsafe scratch.fill(atMost: WorkerMemory.readBytes) { buffer in
            asked = buffer.count
            result = unsafe Socket.receive(descriptor, into: buffer)
            if case .bytes(let count) = result { return count }
            return 0
        }
        switch result {
        // A read that returns fewer bytes than requested has emptied the socket. If the stream ends later, another
        // event reports the end.
        case .bytes(let count): if count < asked, !isEnding { mayRead = false }
        case .ended, .wouldBlock, .failed: mayRead = false
        }
        return result
    }

    // MARK: Writing

    /// Sends bytes, encrypted if the connection uses TLS. Bytes that don't fit into the kernel's send buffer wait in
    /// `outbox`.
    ///
    /// - Returns: The reason why the connection is broken; nil if it is not broken.
    mutating func send(_ bytes: Bytes, _ wire: TLSWire) -> TransportFailure? {
        guard tls != nil else {
            guard isStream else { return sendRaw(bytes) }
            stream?.write(bytes.span)
            return nil
        }
        var offset = 0
        repeat {
            let size = min(bytes.count - offset, WorkerMemory.readBytes)
            // This is safe, since TLS has read the bytes when the call returns.
            if let failure = unsafe tls?.write(bytes[offset..<offset + size].buffer) { return .tls(failure) }
            if let failure = sendOutput(of: wire) { return failure }
            offset += size
        } while offset < bytes.count
        return nil
    }

    mutating func sendOutput(of wire: TLSWire) -> TransportFailure? {
        // This is safe, since the output stays valid until `takeOutput`.
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
        // This is safe, since the kernel has copied the bytes when the call returns.
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

    /// Whether a slow peer still reads: bytes wait in `outbox`, and the peer has acknowledged at least `count` bytes
    /// since the last check. Events don't show this, since they report room only when a large part of the send buffer
    /// is free. That part may be megabytes, for which a slow peer needs longer than a deadline allows.
    mutating func isTaking(atLeast count: Int64) -> Bool {
        !isFlushed && newlyTaken() >= count
    }

    /// Whether the peer has not acknowledged all bytes yet. Costs a system call.
    mutating func hasUntaken() -> Bool {
        _ = newlyTaken()
        return untaken > 0
    }

    /// Whether the peer still receives: since the last check, the peer has acknowledged at least `count` bytes, but not
    /// all. Costs a system call.
    mutating func isReceived(atLeast count: Int64) -> Bool {
        newlyTaken() >= count && untaken > 0
    }

    /// How many bytes the peer has acknowledged since the last check. Bytes that were sent since then reduce the
    /// result. Costs a system call.
    private mutating func newlyTaken() -> Int64 {
        if isStream { return stream?.newlyTaken() ?? 0 }
        let former = untaken
        untaken = Socket.untaken(descriptor)
        return former - untaken
    }

    /// Whether the peer has acknowledged all, some or none of the bytes that were sent after the first `offset` bytes.
    /// Costs a system call.
    func taken(of offset: Int64) -> Taken {
        let left = Socket.untaken(descriptor)
        return left == 0 ? .all : left < sentBytes - offset ? .some : .nothing
    }

    enum Taken {
        case all, some, nothing
    }

    /// Keeps bytes back until the next bytes are sent. Only for connections without TLS, or before TLS is set up.
    mutating func hold(_ bytes: Bytes) { outbox.append(bytes) }

    /// Sends as many of the waiting bytes as fit into the kernel's send buffer.
    mutating func flush() -> TransportFailure? {
        while !outbox.isEmpty {
            // This is safe, since the kernel has copied the bytes when the call returns.
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

    /// Called when a write has failed. The bytes that wait to be sent are dropped. Bytes that have arrived can still be
    /// read, up to the end of the stream.
    mutating func giveUpWriting() {
        outbox.clear()
        (mayRead, isEnding) = (true, true)
    }

    /// Tells the peer that no more bytes will follow. A stream ends with its last bytes. With TLS, close_notify is sent.
    /// The socket's sending side is closed too, unless bytes still wait to be sent.
    mutating func finishWriting(_ wire: TLSWire) {
        guard !isStream else {
            stream?.finish()
            return
        }
        if tls != nil {
            tls?.shutDown()
            _ = sendOutput(of: wire)
        }
        if outbox.isEmpty { Socket.shutDownWriting(descriptor) }
    }
}

/// Limits how many records without data, such as key updates, a peer may send. Such a record costs more than a record
/// with data, and may require a reply.
struct QuietRecords {
    /// The largest number of such records in a second that clients may send. They need only a few.
    static let ofClients = 32
    /// The largest number of such records in a second that servers may send. Some send many session tickets at once.
    static let ofServers = 300

    private let limit: Int
    private var second: Int64 = 0
    private var count = 0

    init(limit: Int) { self.limit = limit }

    /// Counts records. Returns false if there are too many. Each second the count starts again, but only if the peer
    /// reads the replies (`isRead`), since unread replies take memory.
    mutating func admits(_ more: Int, second now: Int64, isRead: Bool) -> Bool {
        if now != second, isRead { (second, count) = (now, 0) }
        count += more
        return count <= limit
    }
}

enum TransportFailure: Error, Equatable {
    /// A system call has failed with this `errno`. 0 if the peer has closed the connection.
    case system(Int32)
    case tls(TLSFailure)

    var reason: String {
        switch self {
        case .system(0): "the connection was closed"
        case .system(let code): SystemFailure.text(code)
        case .tls(let failure): failure.reason
        }
    }
}
