import PKI

/// The memory in which a worker handles an event. All its connections use the same memory, so an idle connection needs
/// none.
struct WorkerMemory: ~Copyable {
    /// How many bytes are received at once. With 16 KiB, large bodies would cost almost twice as much.
    static let readBytes = 64 << 10

    /// Bytes from the network, in encrypted form.
    let cipher = Scratch(capacity: readBytes)
    /// Received bytes, decrypted if the connection uses TLS. There is room for the bytes of one read, and for the rest
    /// of a record that TLS has kept from earlier reads.
    let plain = Scratch(capacity: readBytes + 32 << 10)
    /// Bytes that will be sent: a head, a part of a body, or both.
    let output: Scratch
    /// The body of an answer that the gateway itself writes, such as an error page.
    let page = Scratch(capacity: 8 << 10)
    /// TLS reads received bytes from this object, and writes the bytes to send into it.
    let wire = TLSWire()

    /// A head that is received has at most `headBytes` bytes.
    init(headBytes: Int) {
        // Room for a head and for the body bytes of a read behind it. The gateway adds fields to a head, and
        // percent-encoding can make a target three times as long.
        output = Scratch(capacity: 3 * headBytes + (64 << 10) + Self.readBytes * 2)
    }
}
