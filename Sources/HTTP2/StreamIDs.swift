/// The identifiers that a client has used for its streams. nghttp2 ignores HEADERS frames for streams that no longer
/// exist, but most such frames must end the connection with an error (RFC 9113 sections 5.1 and 5.1.1).
struct StreamIDs {
    private static let most = 32

    private var last: Int32 = 0
    /// The latest ranges of identifiers that the client has skipped. The client must not use them later.
    private var leftOut: [ClosedRange<Int32>] = []
    /// The streams that the gateway has reset last. The client may have sent frames before it learned of the reset.
    private var reset: [Int32] = []

    /// Notes that the gateway has reset a stream.
    mutating func noteReset(_ stream: Int32) {
        if reset.count == Self.most { reset.removeFirst() }
        reset.append(stream)
    }

    /// What is wrong with a HEADERS frame for a stream that does not exist. Nil if the frame begins a stream, if it may be
    /// ignored, or if nghttp2 finds the fault itself.
    mutating func fault(ofHeadersOn stream: Int32) -> HTTP2Code? {
        guard stream > last else {
            guard stream > 0, stream & 1 == 1, !reset.contains(stream) else { return nil }
            return leftOut.contains { $0.contains(stream) } ? .protocolError : .streamClosed
        }
        guard stream & 1 == 1 else { return nil }
        if stream > last + 2 {
            if leftOut.count == Self.most { leftOut.removeFirst() }
            leftOut.append(last + 1...stream - 1)
        }
        last = stream
        return nil
    }
}
