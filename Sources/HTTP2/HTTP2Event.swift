/// One thing that has happened on a connection. Events that the peer's bytes cause come in the order of the bytes.
package enum HTTP2Event {
    /// A request has begun, or a response or an interim one. The head is this range of `HTTP2Memory.heads`, in the form of
    /// HTTP/1.1.
    case head(HTTP2Stream, Range<Int>)
    /// A request or a response has begun whose head exceeds the limits.
    case oversizedHead(HTTP2Stream)
    /// A part of the peer's body: this range of the bytes given to `receive`.
    case body(HTTP2Stream, Range<Int>)
    /// Trailers follow the peer's body: this range of `HTTP2Memory.heads`, as field lines and an empty line. Those that
    /// concern framing or routing are not left out.
    case trailers(HTTP2Stream, Range<Int>)
    /// The peer's message is complete.
    case end(HTTP2Stream)
    /// No more bytes of the body that is sent wait. The body is not complete yet.
    case taken(HTTP2Stream)
    /// The stream no longer exists. Each stream ends like this. If both messages are complete, the code is `noError`.
    case closed(HTTP2Stream, HTTP2Code)
}

/// Why a connection must end.
package enum HTTP2Failure: Equatable, Sendable {
    /// The client has sent more frames of this kind than `HTTP2Limits` allows.
    case flood(Flood)
    /// The bytes are not HTTP/2, or break a rule that concerns the whole connection.
    case malformed
    case outOfMemory

    package enum Flood: Equatable, Sendable {
        case resets, controlFrames
    }
}

/// The memory of all HTTP/2 connections of one thread. Only one thread uses it, and no call that changes a property in place uses
/// that property again, so the checks for this are off.
package final class HTTP2Memory {
    /// What the last call of `receive` or `fill` has reported.
    @safe @exclusivity(unchecked) package internal(set) var events: [HTTP2Event] = []
    private var isHandlingEvents = false
    /// The heads that `events` refers to.
    @safe @exclusivity(unchecked) package internal(set) var heads: [UInt8] = []
    /// The owners of the connections that have something to send.
    @safe @exclusivity(unchecked) package var outgoing: [UInt64] = []
    /// The bytes that the last call of `fill` has written.
    @safe @exclusivity(unchecked) package internal(set) var output: [UInt8] = []
    /// How many streams the peers have reset, and how many the gateway, since the last call of `takeResets`.
    @safe @exclusivity(unchecked) var resets: (received: UInt64, sent: UInt64) = (0, 0)
    /// A message's fields for nghttp2, while they are passed.
    @safe @exclusivity(unchecked) var fields = MessageFields()
    let sessions = SessionMemory()
    /// The memory of a head that is complete, for the next head.
    @safe @exclusivity(unchecked) var spare: RequestText?

    package init() {}

    /// Forgets what the last call has left, which may concern another connection.
    func begin() {
        assert(!isHandlingEvents, "the events of the last call are still being handled")
        events.removeAll(keepingCapacity: true)
        heads.removeAll(keepingCapacity: true)
        output.removeAll(keepingCapacity: true)
    }

    /// Calls `handle` with each event. It must not call `receive` or `fill` of any connection with this memory, which would
    /// lose the events that follow. Debug builds check that.
    package func handleEvents(_ handle: (HTTP2Event) -> Void) {
        assert(!isHandlingEvents, "the events are being handled already")
        isHandlingEvents = true
        for index in events.indices { handle(events[index]) }
        isHandlingEvents = false
    }

    /// How many streams were reset since the last call, by the peers and by the gateway.
    package func takeResets() -> (received: UInt64, sent: UInt64) {
        defer { resets = (0, 0) }
        return resets
    }
}
