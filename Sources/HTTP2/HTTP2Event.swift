/// One thing that has happened on a connection. Events that the peer's bytes cause come in the order of the bytes.
package enum HTTP2Event {
    /// The head of a request, a response or an interim response has arrived: this range of `HTTP2Memory.heads`, in the
    /// form of HTTP/1.1.
    case head(HTTP2Stream, Range<Int>)
    /// The head of a request or a response exceeds the limits.
    case oversizedHead(HTTP2Stream)
    /// A part of the peer's body: this range of the bytes given to `receive`.
    case body(HTTP2Stream, Range<Int>)
    /// Trailers follow the peer's body: this range of `HTTP2Memory.heads`, as field lines and an empty line. They
    /// are not filtered, so the caller must leave out fields for framing or routing (RFC 9110 section 6.5.1).
    case trailers(HTTP2Stream, Range<Int>)
    /// The peer's message is complete.
    case end(HTTP2Stream)
    /// All bytes written so far for a body that the gateway sends are on their way. The body is not complete yet, so
    /// the caller can write more.
    case taken(HTTP2Stream)
    /// The stream no longer exists. Each stream ends like this. If both messages are complete, the code is `noError`.
    case closed(HTTP2Stream, HTTP2Code)
}

/// Why a connection must end.
package enum HTTP2Failure: Equatable, Sendable {
    /// The peer has sent more frames of this kind than `HTTP2Limits` allows.
    case flood(Flood)
    /// The bytes are not HTTP/2, or break a rule that concerns the whole connection.
    case malformed
    case outOfMemory

    package enum Flood: Equatable, Sendable {
        case resets, controlFrames
    }
}

/// Memory that HTTP/2 connections of one thread share. Only this thread uses it, and no call that changes a property in
/// place uses that property again. So Swift's checks for such uses are off.
package final class HTTP2Memory {
    /// What the last call of `receive` or `fill` has reported.
    @safe @exclusivity(unchecked) package internal(set) var events: [HTTP2Event] = []
    package private(set) var isHandlingEvents = false
    /// The heads that `events` refers to.
    @safe @exclusivity(unchecked) package internal(set) var heads: [UInt8] = []
    /// The owners of the connections that have something to send.
    @safe @exclusivity(unchecked) package var outgoing: [UInt64] = []
    /// The bytes that the last call of `fill` has written.
    @safe @exclusivity(unchecked) package internal(set) var output: [UInt8] = []
    /// How many streams the peers have reset, and how many the gateway, since the last call of `takeResets`.
    @safe @exclusivity(unchecked) var resets: (received: UInt64, sent: UInt64) = (0, 0)
    /// The fields of the message that is being passed to nghttp2.
    @safe @exclusivity(unchecked) var fields = MessageFields()
    let sessions = SessionMemory()
    /// The memory of the last head, kept for the next one.
    @safe @exclusivity(unchecked) var spare: RequestText?

    package init() {}

    /// Forgets the events and bytes of the last call, which may belong to another connection.
    func begin() {
        assert(!isHandlingEvents, "the events of the last call are still being handled")
        events.removeAll(keepingCapacity: true)
        heads.removeAll(keepingCapacity: true)
        output.removeAll(keepingCapacity: true)
    }

    /// Calls `handle` with each event. `handle` must not call `receive` or `fill` of any connection with this memory,
    /// since these calls discard the events that follow. Debug builds check that.
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
