import COpenSSL

/// The input and output of OpenSSL in memory, for all TLS connections of one thread.
///
/// OpenSSL never uses a socket. The caller receives into its own buffer, lends the buffer for one call, and then sends
/// the bytes in `output`. So an idle connection needs no buffer, and one `send` can carry many records. Only one thread
/// may use a wire.
@safe
package final class TLSWire {
    /// The state that OpenSSL's callbacks read and write. It is allocated separately, since OpenSSL keeps its address.
    @unsafe
    struct Window {
        var input: UnsafePointer<UInt8>?
        var inputCount = 0
        /// How many reads OpenSSL may still make. At 0, the callback reports that there is no input.
        var readsLeft = Int.max
        let output: UnsafeMutablePointer<UInt8>
        var outputCount = 0
        let outputCapacity: Int
        /// How many records without application data have arrived since `TLSConnection.read` set this to 0.
        var quietRecords: Int32 = 0
        var hello = ClientHello()
    }

    /// The size of the output buffer: room for four full records and a long certificate chain.
    package static let outputCapacity = 128 << 10

    let window: UnsafeMutablePointer<Window>

    package init() {
        unsafe window = .allocate(capacity: 1)
        unsafe window.initialize(
            to: Window(
                output: .allocate(capacity: Self.outputCapacity), outputCapacity: Self.outputCapacity))
    }

    deinit {
        unsafe window.pointee.output.deallocate()
        unsafe window.deinitialize(count: 1)
        unsafe window.deallocate()
    }

    /// Lends received bytes to OpenSSL. The memory must stay valid until `revoke` or the next `lend`.
    @unsafe
    package func lend(_ start: UnsafePointer<UInt8>, count: Int) {
        unsafe window.pointee.input = start
        unsafe window.pointee.inputCount = count
    }

    /// Ends the loan, so that the thread's next connection can't read bytes of this connection.
    package func revoke() { unsafe (window.pointee.input, window.pointee.inputCount) = (nil, 0) }

    /// The lent bytes that OpenSSL has not read.
    @unsafe
    package var unread: UnsafeBufferPointer<UInt8> {
        unsafe UnsafeBufferPointer(start: window.pointee.input, count: window.pointee.inputCount)
    }

    /// How many records without application data the latest `TLSConnection.read` received.
    package var quietRecords: Int { unsafe Int(window.pointee.quietRecords) }

    /// The bytes to send. They are valid until `takeOutput` or the next call on any connection of the thread.
    @unsafe
    package var output: UnsafeBufferPointer<UInt8> {
        unsafe UnsafeBufferPointer(start: window.pointee.output, count: window.pointee.outputCount)
    }

    /// Empties the output. The caller must have sent or stored the bytes.
    package func takeOutput() { unsafe window.pointee.outputCount = 0 }

    /// The client hello of the handshake that last returned `needsCertificate`.
    package var hello: ClientHello { unsafe window.pointee.hello }

    /// Makes a BIO (OpenSSL's stream type) for one connection. The wire must outlive the BIO.
    func makeBIO() throws(PKIError) -> OpaquePointer {
        let bio = try unsafe OpenSSL.require("making a TLS connection", BIO_new(Self.method.pointer))
        unsafe BIO_set_data(bio, window)
        unsafe BIO_set_init(bio, 1)
        return unsafe bio
    }

    /// OpenSSL's table of callbacks for a BIO. It is made once and never freed.
    @safe
    private struct Method: @unchecked Sendable {
        // `@unchecked Sendable` is sound: OpenSSL only reads the table after it is made.
        let pointer: OpaquePointer?
    }

    private static let method: Method = {
        let method = unsafe BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "aegis wire")
        unsafe BIO_meth_set_read(method) { bio, target, count in unsafe TLSWire.read(bio, target, count) }
        unsafe BIO_meth_set_write(method) { bio, source, count in unsafe TLSWire.write(bio, source, count) }
        unsafe BIO_meth_set_ctrl(method) { _, command, _, _ in
            // The caller sends the output itself, so flushing does nothing and succeeds. All other commands are
            // unsupported.
            command == BIO_CTRL_FLUSH ? 1 : 0
        }
        return unsafe Method(pointer: method)
    }()

    // This is safe, since OpenSSL passes a buffer of `count` bytes, and `makeBIO` stored a pointer to the window, which
    // outlives the BIO.
    private static func read(_ bio: OpaquePointer?, _ target: UnsafeMutablePointer<CChar>?, _ count: Int32) -> Int32 {
        unsafe aegis_bio_clear_retry(bio)
        guard let window = unsafe BIO_get_data(bio)?.assumingMemoryBound(to: Window.self), let target = unsafe target
        else { return -1 }
        let size = unsafe min(Int(count), window.pointee.inputCount)
        guard size > 0, unsafe window.pointee.readsLeft > 0, let input = unsafe window.pointee.input else {
            unsafe aegis_bio_retry_read(bio)
            return -1
        }
        unsafe UnsafeMutableRawPointer(target).copyMemory(from: input, byteCount: size)
        unsafe window.pointee.input = input + size
        unsafe window.pointee.inputCount -= size
        unsafe window.pointee.readsLeft -= 1
        return Int32(size)
    }

    /// Returns the window that `makeBIO` stored in the connection's BIO.
    static func window(of ssl: OpaquePointer) -> UnsafeMutablePointer<Window> {
        unsafe BIO_get_data(SSL_get_rbio(ssl)).unsafelyUnwrapped.assumingMemoryBound(to: Window.self)
    }

    private static func write(_ bio: OpaquePointer?, _ source: UnsafePointer<CChar>?, _ count: Int32) -> Int32 {
        unsafe aegis_bio_clear_retry(bio)
        guard let window = unsafe BIO_get_data(bio)?.assumingMemoryBound(to: Window.self), let source = unsafe source
        else { return -1 }
        let size = unsafe min(Int(count), window.pointee.outputCapacity - window.pointee.outputCount)
        guard size > 0 else {
            unsafe aegis_bio_retry_write(bio)
            return -1
        }
        let target = unsafe window.pointee.output + window.pointee.outputCount
        unsafe UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: size)
        unsafe window.pointee.outputCount += size
        return Int32(size)
    }
}
