/// One thing that has happened on a client's connection. Events that the client's bytes cause come in the order of the bytes.
/// `closed` also follows when the gateway ends a stream, or has sent its response.
package enum HTTP2Event: Equatable, Sendable {
    /// A request has begun. Its head is this range of `HTTP2Memory.heads`, in the form of HTTP/1.1. With `isComplete`, no
    /// body follows.
    case head(stream: Int32, Range<Int>, isComplete: Bool)
    /// A request has begun whose head exceeds the limits.
    case oversizedHead(stream: Int32, isComplete: Bool)
    /// A part of a request's body: this range of the bytes given to `receive`.
    case body(stream: Int32, Range<Int>)
    /// The request's body is complete.
    case end(stream: Int32)
    /// The stream no longer exists. It ends like this in any case. If the response was sent whole, `code` is `noError`.
    case closed(stream: Int32, HTTP2Code)
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

/// The memory of all HTTP/2 connections of one thread. What is in it is valid until the next call of any of them.
package final class HTTP2Memory {
    package internal(set) var events: [HTTP2Event] = []
    /// The heads that `events` refers to.
    package internal(set) var heads: [UInt8] = []
    /// The bytes to send. The caller empties it.
    package var output: [UInt8] = []
    /// The response's fields for nghttp2, while they are passed.
    var fields = ResponseFields()
    /// The memory of a head that is complete, for the next head.
    var spare: RequestText?

    package init() {}
}
