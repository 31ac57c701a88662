import COpenSSL

/// Where OpenSSL reads what came from the network, and writes what goes there, for all TLS connections of one thread.
///
/// OpenSSL never sees a socket: the caller receives into a buffer of its own, lends it here for one call, and sends what
/// the call has left in `output`. So no connection holds a buffer while it is idle, and many records leave by one `send`.
/// Confined to one thread.
@safe
package final class TLSWire {
    /// What the BIO callbacks work on. It stands in memory of its own, since OpenSSL keeps its address.
    @unsafe
    struct Window {
        var input: UnsafePointer<UInt8>?
        var inputCount = 0
        /// How often it may still be read from. Then it seems to be used up: what is left is for another turn.
        var readsLeft = Int.max
        let output: UnsafeMutablePointer<UInt8>
        var outputCount = 0
        let outputCapacity: Int
        /// How many records without data the connections that have read from it have received.
        var quietRecords: Int32 = 0
        var hello = ClientHello()
    }

    /// How much output is held at least until the caller must take it: four full records and a long chain.
    package static let outputCapacity = 128 << 10

    let window: UnsafeMutablePointer<Window>

    /// A wire.
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

    /// Lends bytes that were received; they must stay where they are until the calls that read them are done.
    @unsafe
    package func lend(_ start: UnsafePointer<UInt8>, count: Int) {
        unsafe window.pointee.input = start
        unsafe window.pointee.inputCount = count
    }

    /// Takes back what was lent: what one connection has left unread is no other's.
    package func revoke() { unsafe (window.pointee.input, window.pointee.inputCount) = (nil, 0) }

    /// The lent bytes that nobody has read yet.
    @unsafe
    package var unread: UnsafeBufferPointer<UInt8> {
        unsafe UnsafeBufferPointer(start: window.pointee.input, count: window.pointee.inputCount)
    }

    /// How many records without data were received by the latest `TLSConnection.read`.
    package var quietRecords: Int { unsafe Int(window.pointee.quietRecords) }

    /// What is to be sent, until `takeOutput` or the next call on a connection.
    @unsafe
    package var output: UnsafeBufferPointer<UInt8> {
        unsafe UnsafeBufferPointer(start: window.pointee.output, count: window.pointee.outputCount)
    }

    /// Says that the output was sent or put by.
    package func takeOutput() { unsafe window.pointee.outputCount = 0 }

    /// What the handshake that has just asked for a certificate wants.
    package var hello: ClientHello { unsafe window.pointee.hello }

    // MARK: OpenSSL's side

    /// A BIO over the window, for one connection. The wire must outlive it.
    func makeBIO() throws(PKIError) -> OpaquePointer {
        let bio = try unsafe OpenSSL.require("making a TLS connection", BIO_new(Self.method.pointer))
        unsafe BIO_set_data(bio, window)
        unsafe BIO_set_init(bio, 1)
        return unsafe bio
    }

    /// The kind of BIO that works on a window. Made once, never freed.
    @safe
    private struct Method: @unchecked Sendable {
        // Sound to share: OpenSSL only reads it once it is made.
        let pointer: OpaquePointer?
    }

    private static let method: Method = {
        let method = unsafe BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "aegis wire")
        unsafe BIO_meth_set_read(method) { bio, target, count in unsafe TLSWire.read(bio, target, count) }
        unsafe BIO_meth_set_write(method) { bio, source, count in unsafe TLSWire.write(bio, source, count) }
        unsafe BIO_meth_set_ctrl(method) { _, command, _, _ in
            // Flushing is the caller's; the rest of the commands don't concern a wire.
            command == BIO_CTRL_FLUSH ? 1 : 0
        }
        return unsafe Method(pointer: method)
    }()

    // OpenSSL passes buffers of `count` bytes, and the BIO's data is a live window (makeBIO).
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

    /// The window of a connection, which `makeBIO` has given its BIO.
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
