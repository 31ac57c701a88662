import PKI

/// A worker's memory for one event: connections have none of their own while they are idle.
struct WorkerMemory: ~Copyable {
    /// How much is received at once. With 16 KiB large bodies cost almost twice as much.
    static let readBytes = 64 << 10

    /// What was received encrypted.
    let cipher = Scratch(capacity: readBytes)
    /// What was received in plain, or decrypted: a read and what TLS had kept of a record.
    let plain = Scratch(capacity: readBytes + 32 << 10)
    /// What is put together to be sent: a head, or a head with the first bytes of its body.
    let output: Scratch
    /// The body of an answer of our own.
    let page = Scratch(capacity: 8 << 10)
    /// Between TLS and the network.
    let wire = TLSWire()

    /// Memory for heads of at most so many bytes.
    init(headBytes: Int) {
        // A head can grow by what the gateway adds, and a target to three times its size when it is percent-encoded; a body's
        // read goes behind it.
        output = Scratch(capacity: 3 * headBytes + (64 << 10) + Self.readBytes * 2)
    }
}
