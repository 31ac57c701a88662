/// Follows the frames of a WebSocket (RFC 6455 section 5.2) as they pass by, so that it is known where one of our own can
/// stand between two of them.
package struct WebSocketFrames: Sendable {
    /// The present frame's header as far as it has come, while it is not whole.
    private var header = InlineArray<14, UInt8>(repeating: 0)
    private var headerBytes = 0
    /// What is left of the present frame's payload.
    private var payload: UInt64 = 0

    /// Before the first frame.
    package init() {}

    /// Whether the bytes so far end with a frame's end.
    package var isAtBoundary: Bool { headerBytes == 0 && payload == 0 }

    /// Takes the next bytes.
    package mutating func take(_ bytes: Span<UInt8>) {
        var offset = 0
        while offset < bytes.count {
            if payload > 0 {
                let skipped = Int(min(payload, UInt64(bytes.count - offset)))
                payload -= UInt64(skipped)
                offset += skipped
            } else if headerBytes == 0, let whole = Self.readHeader(bytes.extracting(offset..<bytes.count)) {
                payload = whole.payload
                offset += whole.count
            } else {
                header[headerBytes] = bytes[offset]
                headerBytes += 1
                offset += 1
                guard let whole = Self.readHeader(header.span.extracting(first: headerBytes)) else { continue }
                (headerBytes, payload) = (0, whole.payload)
            }
        }
    }

    /// Reads the header that some bytes begin with: how many it takes, and how many the payload has. Nil when it is not whole.
    @inline(__always)
    private static func readHeader(_ bytes: Span<UInt8>) -> (count: Int, payload: UInt64)? {
        guard bytes.count >= 2 else { return nil }
        // 126 and 127 announce a length of 2 or 8 bytes; a mask takes 4.
        let length = bytes[1] & 0x7F
        let lengthBytes = length == 126 ? 2 : length == 127 ? 8 : 0
        let count = 2 + lengthBytes + (bytes[1] & 0x80 != 0 ? 4 : 0)
        guard bytes.count >= count else { return nil }
        var payload = lengthBytes == 0 ? UInt64(length) : 0
        for at in 2..<2 + lengthBytes { payload = payload << 8 | UInt64(bytes[at]) }
        return (count, payload)
    }

    /// A server's frame that says that the endpoint goes away (section 7.4.1, status 1001).
    package static let goingAway: [UInt8] = [0x88, 0x02, 0x03, 0xE9]
}
