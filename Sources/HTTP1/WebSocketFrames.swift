/// Follows the frames of a WebSocket (RFC 6455 section 5.2) as they pass by, so that it is known where one of our own can
/// stand between two of them.
package struct WebSocketFrames: Sendable {
    /// How many bytes of the present frame's header are read.
    private var headerBytes = 0
    /// The second of them: whether there is a mask, and the length or what announces it.
    private var second: UInt8 = 0
    /// How many bytes the header has in all; 2 until its second byte is known.
    private var headerLength = 2
    private var payload: UInt64 = 0

    /// Before the first frame.
    package init() {}

    /// Whether the bytes so far end with a frame's end.
    package var isAtBoundary: Bool { headerBytes == 0 && payload == 0 }

    /// Takes the next bytes.
    package mutating func take(_ bytes: Span<UInt8>) {
        var offset = 0
        while offset < bytes.count {
            if headerBytes == 0, payload > 0 {
                let skipped = Int(min(payload, UInt64(bytes.count - offset)))
                payload -= UInt64(skipped)
                offset += skipped
                continue
            }
            takeHeader(bytes[offset])
            offset += 1
        }
    }

    private mutating func takeHeader(_ byte: UInt8) {
        headerBytes += 1
        switch headerBytes {
        case 1:
            headerLength = 2
            payload = 0
        case 2:
            let length = byte & 0x7F
            // 126 and 127 announce a length of 2 or 8 bytes; a mask takes 4.
            headerLength += (length == 126 ? 2 : length == 127 ? 8 : 0) + (byte & 0x80 != 0 ? 4 : 0)
            second = byte
            if length < 126 { payload = UInt64(length) }
        default:
            let lengthBytes = second & 0x7F == 126 ? 2 : second & 0x7F == 127 ? 8 : 0
            if headerBytes - 2 <= lengthBytes { payload = payload << 8 | UInt64(byte) }
        }
        if headerBytes >= 2, headerBytes == headerLength { headerBytes = 0 }
    }

    /// A server's frame that says that the endpoint goes away (section 7.4.1, status 1001).
    package static let goingAway: [UInt8] = [0x88, 0x02, 0x03, 0xE9]
}
