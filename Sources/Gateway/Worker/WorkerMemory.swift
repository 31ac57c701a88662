import PKI

/// A worker's memory for the event that it handles. Idle connections have no memory of their own.
struct WorkerMemory: ~Copyable {
    /// How many bytes are received at once. With 16 KiB, large bodies cost almost twice as much.
    static let readBytes = 64 << 10

    /// Bytes from the network, still encrypted.
    let cipher = Scratch(capacity: readBytes)
    /// Received bytes, decrypted if the connection uses TLS: the bytes of one read, and the rest of a record that TLS
    /// had kept.
    let plain = Scratch(capacity: readBytes + 32 << 10)
    /// Bytes to be sent: a head, a part of a body, or a head with the first bytes of its body.
    let output: Scratch
    /// The body of an answer of the gateway itself.
    let page = Scratch(capacity: 8 << 10)
    /// Passes bytes between TLS and the network.
    let wire = TLSWire()

    /// Creates memory for heads of at most `headBytes` bytes.
    init(headBytes: Int) {
        // The gateway adds fields to a head, and a target can grow to three times its size when it is percent-encoded.
        // The bytes of a body's read are written after the head.
        output = Scratch(capacity: 3 * headBytes + (64 << 10) + Self.readBytes * 2)
    }
}
