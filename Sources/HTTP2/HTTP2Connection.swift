import CNghttp2

/// One end of an HTTP/2 connection (RFC 9113), in memory: bytes become events, and messages become bytes. It does no I/O.
/// Only one thread may use a connection. `HTTP2Server` is the end towards a client, `HTTP2Client` the end towards an
/// upstream.
///
/// A connection that has something to send puts its owner into `HTTP2Memory.outgoing`. The caller then calls `fill`.
@safe
package class HTTP2Connection {
    let session: OpaquePointer
    let memory: HTTP2Memory
    /// A number by which the caller knows the connection.
    private let owner: UInt64
    let limits: HTTP2Limits
    /// The streams that were not released yet. nghttp2 keeps a reference to each open one.
    package private(set) var streams: [HTTP2Stream] = []
    /// Whether `owner` is in the list of those that have something to send.
    private var isOutgoing = false
    /// The code of the GOAWAY that the connection must still send, if nghttp2 can't continue and so can't send it.
    private var lastWords: HTTP2Code?
    private var hasSentError = false
    /// The code of a connection error that nghttp2 does not see.
    var brokenRule: HTTP2Code?
    /// Whether a head or trailers have begun to arrive and are not complete.
    package private(set) var isInHead = false
    /// Whether a SETTINGS frame has arrived. The first one has the peer's settings, since a peer must send them before
    /// anything else (RFC 9113 section 3.4).
    package private(set) var knowsPeer = false
    /// Whether the fields that arrive belong to a head, not to trailers.
    private var readsHead = false
    /// How many bytes of a body the present DATA frame has brought.
    private var bytesOfFrame = 0
    /// How many fields of trailers were received, and their lines.
    private var trailerFields = 0
    private var trailerLines: [UInt8] = []
    /// The most bytes of trailers.
    private static let mostTrailerBytes = 8 << 10
    /// The bytes that are being received.
    private var input: UnsafePointer<UInt8>?
    private var controlFrames: FrameBudget
    /// How many more WINDOW_UPDATE frames cost nothing of the budget, since they may answer data that was sent.
    private var explainedUpdates = 0
    var flood: HTTP2Failure.Flood?

    static let noFlags = UInt8(NGHTTP2_FLAG_NONE.rawValue)

    init?(owner: UInt64, memory: HTTP2Memory, limits: HTTP2Limits, isServer: Bool, _ settings: [HTTP2Setting]) {
        (self.owner, self.memory, self.limits) = (owner, memory, limits)
        controlFrames = FrameBudget(rate: limits.controlFrames.rate, burst: limits.controlFrames.burst)
        var made: OpaquePointer?
        let shared = HTTP2Callbacks.shared
        let code =
            unsafe isServer
            ? memory.sessions.making {
                unsafe nghttp2_session_server_new3(&made, shared.callbacks, nil, shared.options, $0)
            }
            : nghttp2_session_client_new2(&made, shared.callbacks, nil, shared.options)
        guard code == 0, let made = unsafe made else { return nil }
        unsafe session = made
        unsafe nghttp2_session_set_user_data(session, Unmanaged.passUnretained(self).toOpaque())
        var entries = settings.map {
            nghttp2_settings_entry(settings_id: Int32($0.id.rawValue), value: UInt32($0.value))
        }
        guard unsafe nghttp2_submit_settings(session, Self.noFlags, &entries, entries.count) == 0,
            unsafe nghttp2_session_set_local_window_size(session, Self.noFlags, 0, Int32(limits.connectionWindow)) == 0
        else { return nil }
        haveOutput()
    }

    deinit { unsafe nghttp2_session_del(session) }

    /// Whether nothing more can be received or sent.
    package var isFinished: Bool {
        unsafe nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0
    }

    // MARK: Receiving

    /// Processes bytes from the peer. All of them are read.
    ///
    /// - Parameter now: Milliseconds of the monotonic clock.
    /// - Returns: Why the connection must end; nil if it continues. If it must end, the caller still sends what `fill`
    ///   writes, and gives no further bytes to this function.
    package func receive(_ bytes: Span<UInt8>, now: Int64) -> HTTP2Failure? {
        memory.begin()
        refillBudgets(at: now)
        // This is safe, since nghttp2 reads the bytes only during the call.
        let count = unsafe bytes.withUnsafeBufferPointer { buffer in
            unsafe input = buffer.baseAddress
            defer { unsafe input = nil }
            return unsafe nghttp2_session_mem_recv(session, buffer.baseAddress, buffer.count)
        }
        haveOutput()
        if let flood { return end(flood) }
        if let brokenRule {
            memory.events.removeAll(keepingCapacity: true)
            terminate(brokenRule)
            return .malformed
        }
        guard count < 0 else { return nil }
        // nghttp2 can't go on with the session.
        memory.events.removeAll(keepingCapacity: true)
        switch Int32(count) {
        case NGHTTP2_ERR_NOMEM.rawValue: return fail(.outOfMemory, .internalError)
        case NGHTTP2_ERR_FLOODED.rawValue: return fail(.flood(.controlFrames), .enhanceYourCalm)
        default: return fail(.malformed, .protocolError)
        }
    }

    /// Adds to the budgets what the time since the last call allows.
    func refillBudgets(at now: Int64) { controlFrames.refill(at: now) }

    private func fail(_ failure: HTTP2Failure, _ code: HTTP2Code) -> HTTP2Failure {
        lastWords = code
        return failure
    }

    private func end(_ flood: HTTP2Failure.Flood) -> HTTP2Failure {
        memory.events.removeAll(keepingCapacity: true)
        terminate(.enhanceYourCalm)
        return .flood(flood)
    }

    // MARK: Sending

    /// Writes at least `count` bytes into `HTTP2Memory.output`, or all that can be sent now. If the call has written
    /// `count` bytes, the connection may have more. It does not put its owner into `outgoing` again for these, so the
    /// caller calls `fill` again. The former content of `output`, perhaps of another connection, is lost.
    ///
    /// - Returns: Why the connection must end; nil if it continues.
    package func fill(atLeast count: Int) -> HTTP2Failure? {
        memory.begin()
        if let code = lastWords {
            writeGoAway(code)
            return nil
        }
        pull(atLeast: count)
        guard let flood else { return hasSentError ? .malformed : nil }
        let failure = end(flood)
        pull(atLeast: count)
        return failure
    }

    /// Called when a GOAWAY frame was written. With an error, nghttp2 has ended the connection because of what it received.
    func sentGoAway(_ code: UInt32) { hasSentError = code != HTTP2Code.noError.rawValue }

    /// Writes a GOAWAY frame (RFC 9113 section 6.8) without nghttp2.
    private func writeGoAway(_ code: HTTP2Code) {
        let last = unsafe UInt32(nghttp2_session_get_last_proc_stream_id(session))
        memory.output += [0, 0, 8, UInt8(NGHTTP2_GOAWAY.rawValue), 0, 0, 0, 0, 0]
        for number in [last, code.rawValue] {
            for shift in [24, 16, 8, 0] { memory.output.append(UInt8(truncatingIfNeeded: number >> UInt32(shift))) }
        }
        isOutgoing = false
    }

    private func pull(atLeast wanted: Int) {
        var pointer: UnsafePointer<UInt8>?
        while memory.output.count < wanted {
            let count = unsafe nghttp2_session_mem_send(session, &pointer)
            guard count > 0 else { return isOutgoing = false }
            unsafe memory.output.append(contentsOf: UnsafeBufferPointer(start: pointer, count: count))
        }
    }

    /// Notes that there may be something to send.
    func haveOutput() {
        guard !isOutgoing else { return }
        isOutgoing = true
        memory.outgoing.append(owner)
    }

    /// Called when there are more bytes of a stream's body to send, or when the body has ended.
    func resume(_ stream: Int32) {
        _ = unsafe nghttp2_session_resume_data(session, stream)
        haveOutput()
    }

    func reset(_ stream: Int32, _ code: HTTP2Code) {
        _ = unsafe nghttp2_submit_rst_stream(session, Self.noFlags, stream, code.rawValue)
        haveOutput()
    }

    /// Opens the windows of the stream and of the connection again by `count` bytes, so the peer can send more.
    func consume(_ count: Int, of stream: Int32) {
        _ = unsafe nghttp2_session_consume(session, stream, count)
        haveOutput()
    }

    /// Ends the connection, and tells the peer why by a GOAWAY. Streams are lost.
    package func terminate(_ code: HTTP2Code) {
        _ = unsafe nghttp2_session_terminate_session(session, code.rawValue)
        haveOutput()
    }

    // MARK: Streams

    func stream(_ id: Int32) -> HTTP2Stream? {
        // This is safe, since the list keeps a stream until nghttp2 has closed it.
        unsafe nghttp2_session_get_stream_user_data(session, id).map {
            unsafe Unmanaged<HTTP2Stream>.fromOpaque($0).takeUnretainedValue()
        }
    }

    func add(_ stream: HTTP2Stream) {
        stream.place = streams.count
        streams.append(stream)
    }

    func remove(_ stream: HTTP2Stream) {
        guard stream.place < streams.count, streams[stream.place] === stream else { return }
        let last = streams.removeLast()
        if last !== stream {
            last.place = stream.place
            streams[last.place] = last
        }
        if stream.isOpen { _ = unsafe nghttp2_session_set_stream_user_data(session, stream.id, nil) }
    }

    // MARK: What the two ends do differently

    /// Whether the fields that begin to arrive on a stream are a head, and not trailers.
    func isHead(_ category: nghttp2_headers_category, on stream: Int32) -> Bool { false }

    /// Called when a head begins to arrive.
    func beginHead() {}

    /// Called for each field of a head.
    func addToHead(_ name: Span<UInt8>, _ value: Span<UInt8>) {}

    /// Called when a head has arrived. With `isEnd`, there is no body.
    func endHead(of stream: Int32, isEnd: Bool) {}

    /// Called when a stream must end because of what the peer has sent.
    func countFault() {}

    /// Sends the head of a response. `HTTP2Memory.fields` has read its fields just now.
    func submit(_ head: MessageFields.ResponseHead, on stream: HTTP2Stream, hasBody: Bool) {}

    /// Called when the last frame of a message was written.
    func sentEnd(of stream: Int32) {}

    /// Called when a RST_STREAM frame was written.
    func sentReset(_ stream: Int32, _ code: UInt32) {
        if code != HTTP2Code.noError.rawValue { memory.resets.sent += 1 }
    }

    // MARK: What nghttp2 reports

    func beginFrame(_ header: nghttp2_frame_hd) {
        bytesOfFrame = 0
        switch UInt32(header.type) {
        case NGHTTP2_RST_STREAM.rawValue:
            memory.resets.received += 1
            return
        case NGHTTP2_DATA.rawValue:
            if header.length > 0 || UInt32(header.flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0 { return }
        case NGHTTP2_HEADERS.rawValue, NGHTTP2_CONTINUATION.rawValue:
            isInHead = true
            return
        case NGHTTP2_GOAWAY.rawValue: return
        case NGHTTP2_WINDOW_UPDATE.rawValue:
            if explainedUpdates > 0 {
                explainedUpdates -= 1
                return
            }
        default: break
        }
        spendControlFrame()
    }

    private func spendControlFrame() {
        if !controlFrames.spend() { flood = flood ?? .controlFrames }
    }

    func beginFields(_ category: nghttp2_headers_category, of stream: Int32) {
        readsHead = isHead(category, on: stream)
        guard !readsHead else { return beginHead() }
        trailerFields = 0
        trailerLines.removeAll()
    }

    /// Returns false if the stream must end, since its trailers are too large.
    func addField(_ name: Span<UInt8>, _ value: Span<UInt8>) -> Bool {
        guard !readsHead else {
            addToHead(name, value)
            return true
        }
        trailerFields += 1
        trailerLines.appendLine(name, value)
        guard trailerFields <= limits.fields, trailerLines.count <= Self.mostTrailerBytes else {
            countFault()
            return false
        }
        return true
    }

    func endFrame(_ header: nghttp2_frame_hd) {
        let isEnd = UInt32(header.flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0
        let type = UInt32(header.type)
        isInHead = false
        if type == NGHTTP2_SETTINGS.rawValue { knowsPeer = true }
        if type == NGHTTP2_HEADERS.rawValue, readsHead { return endHead(of: header.stream_id, isEnd: isEnd) }
        // A DATA frame that has only padding counts as an empty one.
        if type == NGHTTP2_DATA.rawValue, header.length > 0, bytesOfFrame == 0, !isEnd { spendControlFrame() }
        guard isEnd, type == NGHTTP2_DATA.rawValue || type == NGHTTP2_HEADERS.rawValue,
            let stream = stream(header.stream_id)
        else { return }
        noteTrailers(of: stream)
        end(stream)
    }

    /// Notes that a message has arrived whole.
    func end(_ stream: HTTP2Stream) {
        stream.hasReceivedEnd = true
        memory.events.append(.end(stream))
    }

    private func noteTrailers(of stream: HTTP2Stream) {
        guard !trailerLines.isEmpty else { return }
        let start = memory.heads.count
        memory.heads += trailerLines
        memory.heads.append("\r\n")
        trailerLines.removeAll()
        memory.events.append(.trailers(stream, start..<memory.heads.count))
    }

    /// Sends a message's trailers, which end it.
    func submitTrailers(_ lines: [UInt8], of stream: Int32) {
        memory.fields.readTrailers(lines.span)
        // This is safe, since nghttp2 copies the fields.
        unsafe memory.fields.lend { fields, count in
            _ = unsafe nghttp2_submit_trailer(session, stream, fields, count)
        }
    }

    @unsafe
    func received(_ data: UnsafePointer<UInt8>, _ count: Int, on id: Int32) {
        bytesOfFrame += count
        // Data can still arrive on a released stream while its reset is not sent yet.
        guard let input = unsafe input, let stream = stream(id) else { return consume(count, of: id) }
        let start = unsafe data - input
        memory.events.append(.body(stream, start..<start + count))
    }

    func closed(_ id: Int32, _ code: UInt32) {
        guard let stream = stream(id) else { return }
        stream.isOpen = false
        memory.events.append(.closed(stream, HTTP2Code(rawValue: code)))
    }

    /// Writes a DATA frame: its header, and bytes of the stream's body.
    @unsafe
    func writeData(_ header: UnsafePointer<UInt8>, _ count: Int, of stream: HTTP2Stream) {
        unsafe memory.output.append(contentsOf: UnsafeBufferPointer(start: header, count: 9))
        stream.body.move(count, to: &memory.output)
        if stream.body.count == 0, !stream.body.isEnding { memory.events.append(.taken(stream)) }
        // The peer may answer with an update for the stream and one for the connection.
        explainedUpdates = min(explainedUpdates + 2, 1000)
    }
}

/// A setting that an end of a connection sends (RFC 9113 section 6.5.2).
struct HTTP2Setting {
    let id: nghttp2_settings_id
    let value: Int

    init(_ id: nghttp2_settings_id, _ value: Int) { (self.id, self.value) = (id, value) }
}
