import CNghttp2

/// The gateway's end of one client's HTTP/2 connection (RFC 9113), in memory: bytes become events, and responses become
/// bytes. It does no I/O. Only one thread may use a connection.
///
/// Each call leaves the bytes to send in `HTTP2Memory.output`, and events in `HTTP2Memory.events`. The caller must handle the
/// events, also those that its handling adds, before it calls `receive` of any connection again.
@safe
package final class HTTP2Server {
    private let session: OpaquePointer
    private let memory: HTTP2Memory
    private let scheme: StaticString
    private let limits: HTTP2Limits
    /// The bodies of the open streams' responses. nghttp2 keeps the place of a stream's body with the stream.
    private var bodies: [StreamBody] = []
    private var freePlaces: [Int] = []
    /// The head that is being received.
    private var request: RequestText?
    /// The fields of the trailers that are being received. They are not passed on.
    private var trailerFields = 0
    /// The bytes that are being received.
    private var input: UnsafePointer<UInt8>?
    private var resets: FrameBudget
    private var controlFrames: FrameBudget
    /// How many WINDOW_UPDATE frames the data sent so far explains.
    private var explainedUpdates = 0
    private var flood: HTTP2Failure.Flood?

    private static let noFlags = UInt8(NGHTTP2_FLAG_NONE.rawValue)

    /// - Parameter scheme: The scheme that requests must have: "https" over TLS, else "http".
    package init?(memory: HTTP2Memory, scheme: StaticString, limits: HTTP2Limits) {
        (self.memory, self.scheme, self.limits) = (memory, scheme, limits)
        resets = FrameBudget(rate: limits.resets.rate, burst: limits.resets.burst)
        controlFrames = FrameBudget(rate: limits.controlFrames.rate, burst: limits.controlFrames.burst)
        var made: OpaquePointer?
        let shared = HTTP2Callbacks.shared
        guard unsafe nghttp2_session_server_new2(&made, shared.callbacks, nil, shared.options) == 0,
            let made = unsafe made
        else { return nil }
        unsafe session = made
        unsafe nghttp2_session_set_user_data(session, Unmanaged.passUnretained(self).toOpaque())
        var settings = [
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue), value: UInt32(limits.streams)),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue), value: UInt32(limits.streamWindow)),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue), value: UInt32(limits.headBytes)),
            // Without this, clients would send the priorities of RFC 7540, which RFC 9113 section 5.3 deprecates.
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES.rawValue), value: 1),
        ]
        guard unsafe nghttp2_submit_settings(session, Self.noFlags, &settings, settings.count) == 0,
            unsafe nghttp2_session_set_local_window_size(session, Self.noFlags, 0, Int32(limits.connectionWindow)) == 0
        else { return nil }
        flush()
    }

    deinit { unsafe nghttp2_session_del(session) }

    /// Whether nothing more can be received or sent.
    package var isFinished: Bool {
        unsafe nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0
    }

    // MARK: Receiving

    /// Processes bytes from the client. All of them are read.
    ///
    /// - Parameter now: Milliseconds of the monotonic clock.
    /// - Returns: Why the connection must end; nil if it continues. The bytes in `output` must still be sent, and no
    ///   further bytes may be given to this function.
    package func receive(_ bytes: Span<UInt8>, now: Int64) -> HTTP2Failure? {
        memory.events.removeAll(keepingCapacity: true)
        memory.heads.removeAll(keepingCapacity: true)
        resets.refill(at: now)
        controlFrames.refill(at: now)
        // This is safe, since nghttp2 reads the bytes only during the call.
        let count = unsafe bytes.withUnsafeBufferPointer { buffer in
            unsafe input = buffer.baseAddress
            defer { unsafe input = nil }
            return unsafe nghttp2_session_mem_recv(session, buffer.baseAddress, buffer.count)
        }
        if let flood { return end(.flood(flood)) }
        guard count >= 0 else {
            return switch Int32(count) {
            case NGHTTP2_ERR_NOMEM.rawValue: .outOfMemory
            case NGHTTP2_ERR_FLOODED.rawValue: .flood(.controlFrames)
            default: .malformed
            }
        }
        flush()
        return flood.flatMap { end(.flood($0)) }
    }

    private func end(_ failure: HTTP2Failure) -> HTTP2Failure {
        memory.events.removeAll(keepingCapacity: true)
        terminate(.enhanceYourCalm)
        return failure
    }

    /// Lets the client send more of a body. Called when the gateway has passed on bytes that it has received.
    package func consume(_ count: Int, of stream: Int32) {
        _ = unsafe nghttp2_session_consume(session, stream, count)
        flush()
    }

    // MARK: Sending

    /// Sends the head of a response.
    ///
    /// - Parameters:
    ///   - head: The head in the form of HTTP/1.1. Fields that belong to a connection of HTTP/1.1 are left out.
    ///   - hasBody: Whether a body follows. An interim response (1xx) has none, and another response follows it.
    package func respond(to stream: Int32, _ head: Span<UInt8>, hasBody: Bool) {
        let isInterim = head.count > 9 && head[9] == UInt8(ascii: "1")
        // This is safe, since nghttp2 has read the fields when `flush` returns.
        unsafe memory.fields.read(head) { fields, count in
            if isInterim {
                _ = unsafe nghttp2_submit_headers(session, Self.noFlags, stream, nil, fields, count, nil)
            } else if hasBody {
                var provider = unsafe HTTP2Callbacks.provider
                _ = unsafe nghttp2_submit_response(session, stream, fields, count, &provider)
            } else {
                _ = unsafe nghttp2_submit_response(session, stream, fields, count, nil)
            }
            flush()
        }
    }

    /// Sends a part of a response's body, or keeps it until the client can take it. With `isLast`, the body is complete.
    /// Does nothing if the stream no longer exists.
    package func send(_ bytes: Span<UInt8>, on stream: Int32, isLast: Bool) {
        guard let index = index(of: stream) else { return }
        bodies[index].append(bytes)
        bodies[index].isEnding = isLast
        _ = unsafe nghttp2_session_resume_data(session, stream)
        flush()
    }

    /// How many bytes of a response's body wait until the client can take them.
    package func waiting(on stream: Int32) -> Int { index(of: stream).map { bodies[$0].count } ?? 0 }

    /// Ends a stream at once.
    package func reset(_ stream: Int32, _ code: HTTP2Code) {
        _ = unsafe nghttp2_submit_rst_stream(session, Self.noFlags, stream, code.rawValue)
        flush()
    }

    /// Announces that the connection will end, without refusing any request yet (RFC 9113 section 6.8).
    package func announceEnd() {
        _ = unsafe nghttp2_submit_shutdown_notice(session)
        flush()
    }

    /// Refuses streams that the client begins from now on. Those that have begun continue.
    package func refuseNewStreams() {
        _ = unsafe nghttp2_submit_goaway(
            session, Self.noFlags, nghttp2_session_get_last_proc_stream_id(session),
            HTTP2Code.noError.rawValue, nil, 0)
        flush()
    }

    /// Ends the connection, and tells the client why. Streams are lost.
    package func terminate(_ code: HTTP2Code) {
        _ = unsafe nghttp2_session_terminate_session(session, code.rawValue)
        flush()
    }

    /// Moves all that nghttp2 has to send into `output`.
    private func flush() {
        var pointer: UnsafePointer<UInt8>?
        while true {
            let count = unsafe nghttp2_session_mem_send(session, &pointer)
            guard count > 0 else { return }
            unsafe memory.output.append(contentsOf: UnsafeBufferPointer(start: pointer, count: count))
        }
    }

    // MARK: Streams

    private func index(of stream: Int32) -> Int? {
        let data = unsafe nghttp2_session_get_stream_user_data(session, stream)
        return unsafe data.map { Int(bitPattern: $0) - 1 }
    }

    private func open(_ stream: Int32) {
        let index = freePlaces.popLast() ?? bodies.count
        if index == bodies.count { bodies.append(StreamBody()) }
        _ = unsafe nghttp2_session_set_stream_user_data(session, stream, UnsafeMutableRawPointer(bitPattern: index + 1))
    }

    // MARK: What nghttp2 reports

    func beginFrame(_ header: nghttp2_frame_hd) {
        let isAnswer = UInt32(header.flags) & NGHTTP2_FLAG_ACK.rawValue != 0
        switch UInt32(header.type) {
        case NGHTTP2_RST_STREAM.rawValue:
            if !resets.spend() { flood = flood ?? .resets }
            return
        case NGHTTP2_DATA.rawValue:
            if header.length > 0 || UInt32(header.flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0 { return }
        case NGHTTP2_HEADERS.rawValue, NGHTTP2_CONTINUATION.rawValue, NGHTTP2_GOAWAY.rawValue: return
        case NGHTTP2_SETTINGS.rawValue, NGHTTP2_PING.rawValue: if isAnswer { return }
        case NGHTTP2_WINDOW_UPDATE.rawValue:
            if explainedUpdates > 0 {
                explainedUpdates -= 1
                return
            }
        default: break
        }
        if !controlFrames.spend() { flood = flood ?? .controlFrames }
    }

    func beginHead(isRequest: Bool) {
        guard isRequest else { return trailerFields = 0 }
        request = memory.spare ?? RequestText(limits: limits)
        memory.spare = nil
        request?.clear()
    }

    /// Returns false if the stream must end, since its trailers are too large.
    func addField(_ name: Span<UInt8>, _ value: Span<UInt8>, isRequest: Bool) -> Bool {
        guard isRequest else {
            trailerFields += 1
            return trailerFields <= limits.fields
        }
        request?.add(name: name, value: value)
        return true
    }

    func endFrame(_ header: nghttp2_frame_hd, isRequest: Bool) {
        let isEnd = UInt32(header.flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0
        let stream = header.stream_id
        guard isRequest else {
            let hasContent = [NGHTTP2_DATA.rawValue, NGHTTP2_HEADERS.rawValue].contains(UInt32(header.type))
            if hasContent, isEnd { memory.events.append(.end(stream: stream)) }
            return
        }
        guard let request else { return }
        let start = memory.heads.count
        switch request.finish(scheme: scheme, hasBody: !isEnd, into: &memory.heads) {
        case .complete:
            open(stream)
            memory.events.append(.head(stream: stream, start..<memory.heads.count, isComplete: isEnd))
        case .tooLarge:
            open(stream)
            memory.events.append(.oversizedHead(stream: stream, isComplete: isEnd))
        case .malformed:
            _ = unsafe nghttp2_submit_rst_stream(
                session, Self.noFlags, stream, HTTP2Code.protocolError.rawValue)
        }
        memory.spare = self.request.take()
    }

    @unsafe
    func received(_ data: UnsafePointer<UInt8>, _ count: Int, on stream: Int32) {
        guard let input = unsafe input else { return }
        let start = unsafe data - input
        memory.events.append(.body(stream: stream, start..<start + count))
    }

    func closed(_ stream: Int32, _ code: UInt32) {
        guard let index = index(of: stream) else { return }
        bodies[index] = StreamBody()
        freePlaces.append(index)
        memory.events.append(.closed(stream: stream, HTTP2Code(rawValue: code)))
    }

    /// Returns how many bytes of a body can be sent now, at most `most`, and whether they are the last ones. Nil if the
    /// body waits for more bytes.
    func available(on stream: Int32, atMost most: Int) -> (count: Int, isLast: Bool)? {
        guard let index = index(of: stream) else { return (0, true) }
        let count = min(most, bodies[index].count)
        let isLast = bodies[index].isEnding && count == bodies[index].count
        return count == 0 && !isLast ? nil : (count, isLast)
    }

    /// Writes a DATA frame: its header, and bytes of the stream's body.
    @unsafe
    func writeData(_ header: UnsafePointer<UInt8>, _ count: Int, on stream: Int32) {
        guard let index = index(of: stream) else { return }
        unsafe memory.output.append(contentsOf: UnsafeBufferPointer(start: header, count: 9))
        bodies[index].move(count, to: &memory.output)
        // The client may answer with an update for the stream and one for the connection.
        explainedUpdates = min(explainedUpdates + 2, 1000)
    }

    /// Counts streams that the gateway resets because of what the client has sent: a client can cause work like this
    /// without resetting streams itself (CVE-2025-8671).
    func sentReset(_ code: UInt32) {
        switch code {
        case NGHTTP2_PROTOCOL_ERROR.rawValue, NGHTTP2_FLOW_CONTROL_ERROR.rawValue, NGHTTP2_STREAM_CLOSED.rawValue,
            NGHTTP2_REFUSED_STREAM.rawValue:
            if !resets.spend() { flood = flood ?? .resets }
        default: break
        }
    }
}
