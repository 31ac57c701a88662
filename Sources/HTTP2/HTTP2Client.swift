import CNghttp2

/// The gateway's end of an HTTP/2 connection to an upstream. The caller opens streams, and begins each with the head of a
/// request.
@safe
package final class HTTP2Client: HTTP2Connection {
    /// The most streams at once, even if the server allows more. Becomes smaller when the server refuses a stream.
    private var mostStreams = 512
    private let scheme: StaticString
    /// The head that is being received.
    private var response: ResponseText

    /// - Parameter scheme: "https" over TLS, else "http".
    package init?(owner: UInt64, memory: HTTP2Memory, scheme: StaticString, limits: HTTP2Limits) {
        self.scheme = scheme
        response = ResponseText(limits: limits)
        super.init(
            owner: owner, memory: memory, limits: limits, isServer: false,
            [
                HTTP2Setting(NGHTTP2_SETTINGS_ENABLE_PUSH, 0),
                HTTP2Setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.streamWindow),
                HTTP2Setting(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.headBytes),
            ])
    }

    /// Whether another stream may be opened. The server limits the number of streams at once, and may have announced the
    /// end of the connection.
    package var mayOpen: Bool { streams.count < streamLimit && !isEnding }

    /// How many streams there may be at once. Until the server's settings arrive, 100 are assumed.
    package var streamLimit: Int {
        let allowed = unsafe nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
        return max(1, min(mostStreams, Int(allowed)))
    }

    /// Whether no stream can begin any more.
    package var isEnding: Bool { unsafe nghttp2_session_check_request_allowed(session) == 0 }

    /// Opens a stream. Nothing is sent before it begins.
    package func open() -> HTTP2Stream {
        let stream = HTTP2Stream(of: self)
        add(stream)
        return stream
    }

    /// Sends a request's head, which is in the form of HTTP/1.1 and begins with the Host field.
    func begin(_ stream: HTTP2Stream, _ head: Span<UInt8>, hasBody: Bool) {
        memory.fields.readRequest(head, scheme: scheme)
        let reference = unsafe Unmanaged.passUnretained(stream).toOpaque()
        // This is safe, since nghttp2 copies the fields, and the list keeps the stream until nghttp2 has closed it.
        stream.id = unsafe memory.fields.lend { fields, count in
            guard hasBody else { return unsafe nghttp2_submit_request(session, nil, fields, count, nil, reference) }
            var provider = unsafe HTTP2Callbacks.provider(stream)
            return unsafe nghttp2_submit_request(session, nil, fields, count, &provider, reference)
        }
        haveOutput()
    }

    /// Notes that the server has refused a stream. From now on fewer streams are open at once than at present.
    package func noteRefusal() { mostStreams = max(1, streams.count - 1) }

    /// Sends a PING frame, which the server answers at once (RFC 9113 section 6.7).
    package func ping() {
        _ = unsafe nghttp2_submit_ping(session, Self.noFlags, nil)
        haveOutput()
    }

    /// Lets the server send more of a stream's body. Other streams need not wait for this.
    override func consume(_ count: Int, of stream: Int32) {
        _ = unsafe nghttp2_session_consume_stream(session, stream, count)
        haveOutput()
    }

    // MARK: What nghttp2 reports

    override func isHead(_ category: nghttp2_headers_category, on stream: Int32) -> Bool {
        category == NGHTTP2_HCAT_RESPONSE || !(self.stream(stream)?.hasReceivedHead ?? true)
    }

    override func beginHead() { response.clear() }

    override func addToHead(_ name: Span<UInt8>, _ value: Span<UInt8>) { response.add(name: name, value: value) }

    override func endHead(of id: Int32, isEnd: Bool) {
        guard let stream = stream(id) else { return }
        let start = memory.heads.count
        switch response.finish(isEmpty: isEnd && !stream.isHEAD, into: &memory.heads) {
        case .tooLarge: return memory.events.append(.oversizedHead(stream))
        case .final: stream.hasReceivedHead = true
        case .interim: break
        }
        memory.events.append(.head(stream, start..<memory.heads.count))
        if isEnd { end(stream) }
    }

    @unsafe
    override func received(_ data: UnsafePointer<UInt8>, _ count: Int, on id: Int32) {
        unsafe super.received(data, count, on: id)
        // A client that does not read holds up its own stream, and no other one.
        _ = unsafe nghttp2_session_consume_connection(session, count)
    }
}
