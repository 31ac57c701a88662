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
    /// Whether the other end has said that nothing more will come.
    private(set) var hasEnded = false

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
    mutating func isSilent() -> Bool { !(tls?.hasPending ?? false) && Socket.isSilent(descriptor) }

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

    /// Receives once, into the memory's `plain`.
    mutating func receive(_ memory: borrowing WorkerMemory) -> Received {
        memory.plain.clear()
        guard tls != nil else {
            switch receiveRaw(into: memory.plain) {
            case .bytes: return .bytes
            case .wouldBlock: return .nothing
            case .ended: return .ended
            case .failed(let code): return .failed(.system(code))
            }
        }
        switch receiveCiphertext(memory) {
        case .bytes: return decrypt(memory)
        case .wouldBlock: return .nothing
        case .ended: return .truncated
        case .failed(let code): return .failed(.system(code))
        }
    }

    /// Receives once, as it comes from the network, and lends it to TLS.
    mutating func receiveCiphertext(_ memory: borrowing WorkerMemory) -> IOResult {
        memory.cipher.clear()
        let result = receiveRaw(into: memory.cipher)
        // It stays in the scratch memory until TLS has taken it.
        if case .bytes = result {
            unsafe memory.wire.lend(
                memory.cipher.bytes.buffer.baseAddress.unsafelyUnwrapped, count: memory.cipher.count)
        }
        return result
    }

    /// Decrypts what was lent to TLS, into `plain`.
    mutating func decrypt(_ memory: borrowing WorkerMemory) -> Received {
        memory.plain.clear()
        var result = Received.bytes
        unsafe memory.plain.fill { buffer in
            switch unsafe tls?.read(into: buffer) {
            case .bytes(let count): return count
            case .needsInput, nil: return 0
            case .closed:
                hasEnded = true
                result = .ended
                return 0
            case .failed(let failure):
                result = .failed(.tls(failure))
                return 0
            }
        }
        // An answer to a key update, or an alert.
        if let failure = sendOutput(of: memory.wire) { return .failed(failure) }
        return result
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
        case .ended: (mayRead, hasEnded) = (false, true)
        case .wouldBlock, .failed: mayRead = false
        }
        return result
    }

    // MARK: Writing

    /// Sends bytes, encrypted where the connection is; what does not fit waits.
    ///
    /// - Returns: Why the connection is broken; nil when it is not.
    mutating func send(_ bytes: Bytes, _ wire: TLSWire, more: Bool = false) -> TransportFailure? {
        guard tls != nil else { return sendRaw(bytes, more: more) }
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

    private mutating func sendRaw(_ bytes: Bytes, more: Bool = false) -> TransportFailure? {
        guard bytes.count > 0 else { return nil }
        guard outbox.isEmpty else {
            outbox.append(bytes)
            return nil
        }
        switch unsafe Socket.send(descriptor, bytes.buffer, more: more) {
        case .bytes(let count):
            if count < bytes.count { outbox.append(bytes.from(count)) }
            return nil
        case .wouldBlock:
            outbox.append(bytes)
            return nil
        case .ended: return .system(0)
        case .failed(let code): return .system(code)
        }
    }

    /// Puts bytes by to be sent with the next that are sent; only without TLS or before it is up.
    mutating func hold(_ bytes: Bytes) { outbox.append(bytes) }

    /// Sends what waits, as far as it goes.
    mutating func flush() -> TransportFailure? {
        while !outbox.isEmpty {
            switch unsafe Socket.send(descriptor, outbox.bytes.buffer) {
            case .bytes(let count): outbox.removeFirst(count)
            case .wouldBlock: return nil
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
