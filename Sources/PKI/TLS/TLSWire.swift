import COpenSSL

/// The input and output of OpenSSL, in memory, for all TLS connections of one thread.
///
/// OpenSSL never sees a socket. The caller receives into its own buffer, lends that buffer for one call, and sends the
/// bytes that the call has left in `output`. So an idle connection has no buffer, and many records leave by one `send`.
/// Confined to one thread.
@safe
package final class TLSWire {
    /// The state that the BIO callbacks use. It is allocated separately, since OpenSSL keeps its address.
    @unsafe
    struct Window {
        var input: UnsafePointer<UInt8>?
        var inputCount = 0
        /// How many more reads are allowed. After these reads the input seems to be used up; a later turn reads the
        /// rest.
        var readsLeft = Int.max
        let output: UnsafeMutablePointer<UInt8>
        var outputCount = 0
        let outputCapacity: Int
        /// How many records without data have arrived since `TLSConnection.read` last set this to 0.
        var quietRecords: Int32 = 0
        var hello = ClientHello()
    }

    /// How many bytes `output` holds before the caller must take them: enough for four full records and a long chain.
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

    /// Lends received bytes to OpenSSL. They must stay in place until the calls that read them have returned.
    @unsafe
    package func lend(_ start: UnsafePointer<UInt8>, count: Int) {
        unsafe window.pointee.input = start
        unsafe window.pointee.inputCount = count
    }

    /// Ends the loan, so that no other connection reads the bytes that this one has not read.
    package func revoke() { unsafe (window.pointee.input, window.pointee.inputCount) = (nil, 0) }

    /// The lent bytes that OpenSSL has not read.
    @unsafe
    package var unread: UnsafeBufferPointer<UInt8> {
        unsafe UnsafeBufferPointer(start: window.pointee.input, count: window.pointee.inputCount)
    }

    /// How many records without data the latest `TLSConnection.read` has received.
    package var quietRecords: Int { unsafe Int(window.pointee.quietRecords) }

    /// The bytes to send. Valid until `takeOutput` or the next call on a connection.
    @unsafe
    package var output: UnsafeBufferPointer<UInt8> {
        unsafe UnsafeBufferPointer(start: window.pointee.output, count: window.pointee.outputCount)
    }

    /// Empties the output, after the caller has sent or stored it.
    package func takeOutput() { unsafe window.pointee.outputCount = 0 }

    /// The client hello of the handshake that has just returned `needsCertificate`.
    package var hello: ClientHello { unsafe window.pointee.hello }

    // MARK: Callbacks of OpenSSL

    /// Makes a BIO over the window for one connection. The wire must outlive the BIO.
    func makeBIO() throws(PKIError) -> OpaquePointer {
        let bio = try unsafe OpenSSL.require("making a TLS connection", BIO_new(Self.method.pointer))
        unsafe BIO_set_data(bio, window)
        unsafe BIO_set_init(bio, 1)
        return unsafe bio
    }

    /// The BIO method that works on a window. Made once, never freed.
    @safe
    private struct Method: @unchecked Sendable {
        // Sound to share: once the method is made, OpenSSL only reads it.
        let pointer: OpaquePointer?
    }

    private static let method: Method = {
        let method = unsafe BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "aegis wire")
        unsafe BIO_meth_set_read(method) { bio, target, count in unsafe TLSWire.read(bio, target, count) }
        unsafe BIO_meth_set_write(method) { bio, source, count in unsafe TLSWire.write(bio, source, count) }
        unsafe BIO_meth_set_ctrl(method) { _, command, _, _ in
            // The caller flushes; the other commands don't apply to a wire.
            command == BIO_CTRL_FLUSH ? 1 : 0
        }
        return unsafe Method(pointer: method)
    }()

    // Sound: OpenSSL passes a buffer of `count` bytes, and the BIO's data is a live window (makeBIO).
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

    /// The window of a connection, which `makeBIO` stored in its BIO.
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
