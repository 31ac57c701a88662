import HTTP2
import PKI

/// The memory in which a worker processes an event. All its connections use this memory in turn, so an idle connection
/// needs none.
struct WorkerMemory: ~Copyable {
    /// How many bytes are received at once. With 16 KiB, large bodies would cost almost twice as much.
    static let readBytes = 64 << 10

    /// Bytes from the network, still encrypted.
    let cipher = Scratch(capacity: readBytes)
    /// Received bytes, decrypted if the connection uses TLS. There is room for the bytes of one read and the rest of an
    /// earlier TLS record.
    let plain = Scratch(capacity: readBytes + 32 << 10)
    /// Bytes that will be sent: a head, a part of a body, or both.
    let output: Scratch
    /// The body of an answer that the gateway itself writes, such as an error page.
    let page = Scratch(capacity: 8 << 10)
    /// TLS reads received bytes from this object, and puts the bytes to send into it.
    let wire = TLSWire()
    /// Events and frames of HTTP/2 with clients, and with upstreams. An event of one may make the other have frames.
    let http2 = HTTP2Memory()
    let upstreamHTTP2 = HTTP2Memory()

    /// `headBytes` is the largest size of a received head.
    init(headBytes: Int) {
        // There is room for a head, followed by the body bytes of a read. The gateway adds fields to a head, and
        // percent-encoding can make a target three times as long.
        output = Scratch(capacity: 3 * headBytes + (64 << 10) + Self.readBytes * 2)
    }
}
