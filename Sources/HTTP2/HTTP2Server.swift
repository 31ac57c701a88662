import CNghttp2

/// The gateway's end of one client's HTTP/2 connection (RFC 9113), in memory: bytes become events, and responses become
/// bytes. It does no I/O. Only one thread may use a connection.
///
/// A connection that has something to send puts its owner into `HTTP2Memory.outgoing`. The caller then calls `fill`.
@safe
package final class HTTP2Server {
    private let session: OpaquePointer
    let memory: HTTP2Memory
    /// A number by which the caller knows the connection.
    private let owner: UInt64
    private let scheme: StaticString
    private let limits: HTTP2Limits
    /// The streams that were not released yet. nghttp2 keeps a reference to each open one.
    package private(set) var streams: [HTTP2Stream] = []
    /// Whether `owner` is in the list of those that have something to send.
    private var isOutgoing = false
    /// The code with which a connection ends that nghttp2 can't continue.
    private var lastWords: HTTP2Code?
    private var hasSentError = false
    private var ids = StreamIDs()
    /// The code of a connection error that nghttp2 does not see.
    private var brokenRule: HTTP2Code?
    /// Whether a head or trailers have begun to arrive and are not complete.
    package private(set) var isInHead = false
    /// How many bytes of a body the present DATA frame has brought.
    private var bytesOfFrame = 0
    /// The head that is being received.
    private var request: RequestText?
    /// How many fields of trailers were received, and their lines.
    private var trailerFields = 0
    private var trailerLines: [UInt8] = []
    /// The most bytes of trailers.
    private static let mostTrailerBytes = 8 << 10
    /// The bytes that are being received.
    private var input: UnsafePointer<UInt8>?
    private var resets: FrameBudget
    private var controlFrames: FrameBudget
    /// How many WINDOW_UPDATE frames the data sent so far explains.
    private var explainedUpdates = 0
    private var flood: HTTP2Failure.Flood?

    private static let noFlags = UInt8(NGHTTP2_FLAG_NONE.rawValue)

    /// - Parameter scheme: The scheme that requests must have: "https" over TLS, else "http".
    package init?(owner: UInt64, memory: HTTP2Memory, scheme: StaticString, limits: HTTP2Limits) {
        (self.owner, self.memory, self.scheme, self.limits) = (owner, memory, scheme, limits)
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
            // Clients may open WebSockets by an extended CONNECT (RFC 8441 section 3).
            nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL.rawValue), value: 1),
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
        haveOutput()
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
    /// - Returns: Why the connection must end; nil if it continues. What it has to send must still be sent, and no
    ///   further bytes may be given to this function.
    package func receive(_ bytes: Span<UInt8>, now: Int64) -> HTTP2Failure? {
        memory.begin()
        resets.refill(at: now)
        controlFrames.refill(at: now)
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

    /// Writes at least `count` bytes into `HTTP2Memory.output`, or all that can be sent now. More may follow after the
    /// next call, which the connection does not announce again. What was in `output` before is lost: it could belong to
    /// another connection.
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
    private func haveOutput() {
        guard !isOutgoing else { return }
        isOutgoing = true
        memory.outgoing.append(owner)
    }

    /// Sends the head that was read last.
    func submit(_ head: ResponseFields.Head, on stream: HTTP2Stream, hasBody: Bool) {
        // This is safe, since nghttp2 copies the fields.
        unsafe memory.fields.lend { fields, count in
            if head.isInterim {
                _ = unsafe nghttp2_submit_headers(session, Self.noFlags, stream.id, nil, fields, count, nil)
            } else if hasBody {
                var provider = unsafe HTTP2Callbacks.provider(stream)
                _ = unsafe nghttp2_submit_response(session, stream.id, fields, count, &provider)
            } else {
                _ = unsafe nghttp2_submit_response(session, stream.id, fields, count, nil)
            }
        }
        haveOutput()
    }

    /// Called when bytes of a stream's body, or its end, have become known.
    func resume(_ stream: Int32) {
        _ = unsafe nghttp2_session_resume_data(session, stream)
        haveOutput()
    }

    func reset(_ stream: Int32, _ code: HTTP2Code) {
        _ = unsafe nghttp2_submit_rst_stream(session, Self.noFlags, stream, code.rawValue)
        haveOutput()
    }

    func consume(_ count: Int, of stream: Int32) {
        _ = unsafe nghttp2_session_consume(session, stream, count)
        haveOutput()
    }

    /// Announces by a first GOAWAY that the connection will end, without refusing any request yet (RFC 9113 section 6.8).
    package func announceEnd() {
        _ = unsafe nghttp2_submit_shutdown_notice(session)
        haveOutput()
    }

    /// Refuses streams that the client begins from now on, by a second GOAWAY. Those that have begun continue.
    package func refuseNewStreams() {
        _ = unsafe nghttp2_submit_goaway(
            session, Self.noFlags, nghttp2_session_get_last_proc_stream_id(session),
            HTTP2Code.noError.rawValue, nil, 0)
        haveOutput()
    }

    /// Ends the connection, and tells the client why by a GOAWAY. Streams are lost.
    package func terminate(_ code: HTTP2Code) {
        _ = unsafe nghttp2_session_terminate_session(session, code.rawValue)
        haveOutput()
    }

    // MARK: Streams

    private func stream(_ id: Int32) -> HTTP2Stream? {
        // This is safe, since the list keeps a stream until nghttp2 has closed it.
        unsafe nghttp2_session_get_stream_user_data(session, id).map {
            unsafe Unmanaged<HTTP2Stream>.fromOpaque($0).takeUnretainedValue()
        }
    }

    private func open(_ id: Int32, _ request: RequestText, isComplete: Bool) -> HTTP2Stream {
        let stream = HTTP2Stream(id, of: self, request, isComplete: isComplete)
        stream.place = streams.count
        streams.append(stream)
        _ = unsafe nghttp2_session_set_stream_user_data(session, id, Unmanaged.passUnretained(stream).toOpaque())
        return stream
    }

    // MARK: What nghttp2 reports

    func beginFrame(_ header: nghttp2_frame_hd) {
        bytesOfFrame = 0
        switch UInt32(header.type) {
        case NGHTTP2_HEADERS.rawValue:
            let isKnown = unsafe nghttp2_session_find_stream(session, header.stream_id) != nil
            if !isKnown { brokenRule = brokenRule ?? ids.fault(ofHeadersOn: header.stream_id) }
        case NGHTTP2_PRIORITY.rawValue where header.stream_id == 0: brokenRule = .protocolError
        default: break
        }
        switch UInt32(header.type) {
        case NGHTTP2_RST_STREAM.rawValue:
            memory.resets.received += 1
            return spendReset()
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

    private func spendReset() {
        if !resets.spend() { flood = flood ?? .resets }
    }

    func beginHead(isRequest: Bool) {
        guard isRequest else {
            trailerFields = 0
            return trailerLines.removeAll()
        }
        request = memory.spare ?? RequestText(limits: limits)
        memory.spare = nil
        request?.clear()
    }

    /// Returns false if the stream must end, since its trailers are too large.
    func addField(_ name: Span<UInt8>, _ value: Span<UInt8>, isRequest: Bool) -> Bool {
        guard isRequest else {
            trailerFields += 1
            trailerLines.append(name)
            trailerLines.append(": ")
            trailerLines.append(value)
            trailerLines.append("\r\n")
            guard trailerFields <= limits.fields, trailerLines.count <= Self.mostTrailerBytes else {
                spendReset()
                return false
            }
            return true
        }
        request?.add(name: name, value: value)
        return true
    }

    func endFrame(_ header: nghttp2_frame_hd, isRequest: Bool) {
        let isEnd = UInt32(header.flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0
        isInHead = false
        guard isRequest else {
            // Frames of padding alone are as empty as others.
            if UInt32(header.type) == NGHTTP2_DATA.rawValue, header.length > 0, bytesOfFrame == 0, !isEnd {
                spendControlFrame()
            }
            let hasContent = [NGHTTP2_DATA.rawValue, NGHTTP2_HEADERS.rawValue].contains(UInt32(header.type))
            if hasContent, isEnd, let stream = stream(header.stream_id) {
                noteTrailers(of: stream)
                memory.events.append(.end(stream))
            }
            return
        }
        guard let request else { return }
        let start = memory.heads.count
        let outcome = request.finish(scheme: scheme, hasBody: !isEnd, into: &memory.heads)
        if outcome == .malformed {
            reset(header.stream_id, .protocolError)
        } else {
            let stream = open(header.stream_id, request, isComplete: isEnd)
            memory.events.append(
                outcome == .complete
                    ? .head(stream, start..<memory.heads.count) : .oversizedHead(stream))
        }
        memory.spare = self.request.take()
    }

    private func noteTrailers(of stream: HTTP2Stream) {
        guard !trailerLines.isEmpty else { return }
        let start = memory.heads.count
        memory.heads += trailerLines
        memory.heads.append("\r\n")
        trailerLines.removeAll()
        memory.events.append(.trailers(stream, start..<memory.heads.count))
    }

    /// Sends a response's trailers, which end its stream.
    func submitTrailers(_ lines: [UInt8], of stream: Int32) {
        memory.fields.readTrailers(lines.span)
        // This is safe, since nghttp2 copies the fields.
        unsafe memory.fields.lend { fields, count in
            _ = unsafe nghttp2_submit_trailer(session, stream, fields, count)
        }
    }

    @unsafe
    func received(_ data: UnsafePointer<UInt8>, _ count: Int, on id: Int32) {
        guard let input = unsafe input, let stream = stream(id) else { return }
        bytesOfFrame += count
        let start = unsafe data - input
        memory.events.append(.body(stream, start..<start + count))
    }

    func closed(_ id: Int32, _ code: UInt32) {
        guard let stream = stream(id) else { return }
        stream.isOpen = false
        memory.events.append(.closed(stream, HTTP2Code(rawValue: code)))
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

    /// Writes a DATA frame: its header, and bytes of the stream's body.
    @unsafe
    func writeData(_ header: UnsafePointer<UInt8>, _ count: Int, of stream: HTTP2Stream) {
        unsafe memory.output.append(contentsOf: UnsafeBufferPointer(start: header, count: 9))
        stream.body.move(count, to: &memory.output)
        if stream.body.count == 0, !stream.body.isEnding { memory.events.append(.taken(stream)) }
        // The client may answer with an update for the stream and one for the connection.
        explainedUpdates = min(explainedUpdates + 2, 1000)
    }

    /// Ends a stream whose response is complete. The rest of the request's body is not wanted (RFC 9113 section 8.1).
    func sentEnd(of stream: Int32) {
        self.stream(stream)?.isComplete = true
        guard unsafe nghttp2_session_get_stream_remote_close(session, stream) == 0 else { return }
        _ = unsafe nghttp2_submit_rst_stream(session, Self.noFlags, stream, HTTP2Code.noError.rawValue)
    }

    /// Counts streams that the gateway resets because of what the client has sent: a client can cause work like this
    /// without resetting streams itself (CVE-2025-8671).
    func sentReset(_ stream: Int32, _ code: UInt32) {
        ids.noteReset(stream)
        if code != HTTP2Code.noError.rawValue { memory.resets.sent += 1 }
        switch code {
        case NGHTTP2_PROTOCOL_ERROR.rawValue, NGHTTP2_FLOW_CONTROL_ERROR.rawValue, NGHTTP2_STREAM_CLOSED.rawValue,
            NGHTTP2_REFUSED_STREAM.rawValue:
            spendReset()
        default: break
        }
    }
}
