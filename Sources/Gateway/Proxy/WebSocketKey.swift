import PKI

/// The key with which the gateway asks an upstream for a WebSocket (RFC 6455 section 4.1), if the client has asked over
/// HTTP/2 and so has sent none. The key is computed from the request's ID, so the key need not be stored.
struct WebSocketKey {
    /// Each server appends this text to the key (RFC 6455 section 1.3).
    private static let suffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

    /// The key as it is sent: 16 bytes in base64.
    let text: [UInt8]

    init(_ id: RequestID) {
        text = Array(Base64.text(Array(Digest.sha256(Array(id.text.utf8)).prefix(16))).utf8)
    }

    /// The value of Sec-WebSocket-Accept by which the server shows that it has read the key.
    var accepted: [UInt8] { Self.accepted(text) }

    static func accepted(_ key: [UInt8]) -> [UInt8] { Array(Base64.text(Digest.sha1(key + suffix.utf8)).utf8) }
}
