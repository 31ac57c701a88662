import CNghttp2

/// The gateway's end of one client's HTTP/2 connection.
@safe
package final class HTTP2Server: HTTP2Connection {
    private let scheme: StaticString
    private var ids = StreamIDs()
    private var resets: FrameBudget
    /// The head that is being received.
    private var request: RequestText?
    private var refusesNewStreams = false

    /// - Parameter scheme: The scheme that requests must have: "https" over TLS, else "http".
    package init?(owner: UInt64, memory: HTTP2Memory, scheme: StaticString, limits: HTTP2Limits) {
        self.scheme = scheme
        resets = FrameBudget(rate: limits.resets.rate, burst: limits.resets.burst)
        super.init(
            owner: owner, memory: memory, limits: limits, isServer: true,
            [
                HTTP2Setting(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.streams),
                // Clients may open WebSockets by an extended CONNECT (RFC 8441 section 3).
                HTTP2Setting(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1),
                HTTP2Setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.streamWindow),
                HTTP2Setting(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.headBytes),
                // Without this, clients would send the priorities of RFC 7540, which RFC 9113 section 5.3 deprecates.
                HTTP2Setting(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1),
            ])
    }

    // MARK: Sending

    override func submit(_ head: MessageFields.ResponseHead, on stream: HTTP2Stream, hasBody: Bool) {
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

    /// Announces by a first GOAWAY that the connection will end, without refusing any request yet (RFC 9113 section 6.8).
    package func announceEnd() {
        guard !refusesNewStreams else { return }
        _ = unsafe nghttp2_submit_shutdown_notice(session)
        haveOutput()
    }

    /// Refuses streams that the client begins from now on, by a second GOAWAY. Those that have begun continue.
    package func refuseNewStreams() {
        guard !refusesNewStreams else { return }
        refusesNewStreams = true
        _ = unsafe nghttp2_submit_goaway(
            session, Self.noFlags, nghttp2_session_get_last_proc_stream_id(session),
            HTTP2Code.noError.rawValue, nil, 0)
        haveOutput()
    }

    // MARK: What nghttp2 reports

    override func refillBudgets(at now: Int64) {
        super.refillBudgets(at: now)
        resets.refill(at: now)
    }

    override func beginFrame(_ header: nghttp2_frame_hd) {
        switch UInt32(header.type) {
        case NGHTTP2_HEADERS.rawValue:
            let isKnown = unsafe nghttp2_session_find_stream(session, header.stream_id) != nil
            if !isKnown { brokenRule = brokenRule ?? ids.fault(ofHeadersOn: header.stream_id) }
        case NGHTTP2_PRIORITY.rawValue where header.stream_id == 0: brokenRule = .protocolError
        case NGHTTP2_RST_STREAM.rawValue: countFault()
        default: break
        }
        super.beginFrame(header)
    }

    override func countFault() {
        if !resets.spend() { flood = flood ?? .resets }
    }

    override func isHead(_ category: nghttp2_headers_category, on stream: Int32) -> Bool {
        category == NGHTTP2_HCAT_REQUEST
    }

    override func beginHead() {
        request = memory.spare ?? RequestText(limits: limits)
        memory.spare = nil
        request?.clear()
    }

    override func addToHead(_ name: Span<UInt8>, _ value: Span<UInt8>) { request?.add(name: name, value: value) }

    override func endHead(of id: Int32, isEnd: Bool) {
        guard let request else { return }
        let start = memory.heads.count
        let outcome = request.finish(scheme: scheme, hasBody: !isEnd, into: &memory.heads)
        if outcome == .malformed {
            reset(id, .protocolError)
        } else {
            let stream = open(id, request, isComplete: isEnd)
            memory.events.append(
                outcome == .complete
                    ? .head(stream, start..<memory.heads.count) : .oversizedHead(stream))
        }
        memory.spare = self.request.take()
    }

    private func open(_ id: Int32, _ request: RequestText, isComplete: Bool) -> HTTP2Stream {
        let stream = HTTP2Stream(id, of: self, request, isComplete: isComplete)
        add(stream)
        _ = unsafe nghttp2_session_set_stream_user_data(session, id, Unmanaged.passUnretained(stream).toOpaque())
        return stream
    }

    /// Ends a stream whose response is complete. The rest of the request's body is not wanted (RFC 9113 section 8.1).
    override func sentEnd(of stream: Int32) {
        self.stream(stream)?.isComplete = true
        guard unsafe nghttp2_session_get_stream_remote_close(session, stream) == 0 else { return }
        _ = unsafe nghttp2_submit_rst_stream(session, Self.noFlags, stream, HTTP2Code.noError.rawValue)
    }

    /// Counts streams that the gateway resets because of what the client has sent: a client can cause work like this
    /// without resetting streams itself (CVE-2025-8671).
    override func sentReset(_ stream: Int32, _ code: UInt32) {
        super.sentReset(stream, code)
        ids.noteReset(stream)
        switch code {
        case NGHTTP2_PROTOCOL_ERROR.rawValue, NGHTTP2_FLOW_CONTROL_ERROR.rawValue, NGHTTP2_STREAM_CLOSED.rawValue,
            NGHTTP2_REFUSED_STREAM.rawValue:
            countFault()
        default: break
        }
    }
}
