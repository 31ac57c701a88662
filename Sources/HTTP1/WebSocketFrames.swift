/// Follows the frames of a WebSocket (RFC 6455 section 5.2) that pass through the gateway. The gateway may insert a
/// frame of its own only where one frame has ended and the next has not begun.
package struct WebSocketFrames: Sendable {
    /// The bytes so far of a frame header that has not arrived completely.
    private var header = InlineArray<14, UInt8>(repeating: 0)
    private var headerBytes = 0
    /// How many bytes of the current frame's payload have not arrived.
    private var payload: UInt64 = 0

    package init() {}

    /// Whether the last byte seen ends a frame. Also true before the first byte.
    package var isAtBoundary: Bool { headerBytes == 0 && payload == 0 }

    /// Follows the next bytes of the stream, which may begin and end within a frame.
    package mutating func follow(_ bytes: Span<UInt8>) {
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

    /// Reads the frame header at the start of `bytes`. Returns the header's and the payload's number of bytes, or nil
    /// when the header is incomplete.
    @inline(__always)
    private static func readHeader(_ bytes: Span<UInt8>) -> (count: Int, payload: UInt64)? {
        guard bytes.count >= 2 else { return nil }
        // The length values 126 and 127 announce a longer length field of 2 or 8 bytes. A mask adds 4 bytes.
        let length = bytes[1] & 0x7F
        let lengthBytes = length == 126 ? 2 : length == 127 ? 8 : 0
        let count = 2 + lengthBytes + (bytes[1] & 0x80 != 0 ? 4 : 0)
        guard bytes.count >= count else { return nil }
        var payload = lengthBytes == 0 ? UInt64(length) : 0
        for at in 2..<2 + lengthBytes { payload = payload << 8 | UInt64(bytes[at]) }
        return (count, payload)
    }

    /// A server's close frame with status 1001, which means that the endpoint is going away (RFC 6455 section 7.4.1).
    package static let goingAway: [UInt8] = [0x88, 0x02, 0x03, 0xE9]
}
