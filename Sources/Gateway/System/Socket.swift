import CLinux
import Glibc

/// The result of a read or write that does not wait. Would-block is a result, not an error.
enum IOResult: Equatable {
    /// This number of bytes was read or written.
    case bytes(Int)
    /// Nothing can be read or written now; the poller reports when this changes.
    case wouldBlock
    /// The peer has closed its side: no more bytes will arrive.
    case ended
    /// The connection failed with this `errno`.
    case failed(Int32)
}

/// The socket calls of the data plane. Calls that a signal interrupts are repeated.
enum Socket {
    static func receive(_ descriptor: Int32, into buffer: UnsafeMutableBufferPointer<UInt8>) -> IOResult {
        while true {
            // recv(2) writes at most `buffer.count` bytes.
            let count = unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return .bytes(count) }
            if count == 0 { return .ended }
            if errno == EINTR { continue }
            return errno == EAGAIN ? .wouldBlock : .failed(errno)
        }
    }

    /// Whether the socket has nothing to read: no byte, no end of the stream, no error.
    static func isSilent(_ descriptor: Int32) -> Bool {
        var byte: UInt8 = 0
        while true {
            // recv(2) writes at most one byte, into `byte`.
            let count = unsafe recv(descriptor, &byte, 1, Int32(MSG_PEEK))
            if count >= 0 { return false }
            if errno != EINTR { return errno == EAGAIN }
        }
    }

    /// The number of bytes written that the peer has not acknowledged.
    static func untaken(_ descriptor: Int32) -> Int64 { Int64(aegis_untaken(descriptor)) }

    /// Sends as many bytes as the kernel has room for.
    static func send(_ descriptor: Int32, _ bytes: UnsafeBufferPointer<UInt8>) -> IOResult {
        while true {
            // send(2) reads only the bytes of the buffer.
            let count = unsafe Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count >= 0 { return .bytes(count) }
            if errno == EINTR { continue }
            return errno == EAGAIN ? .wouldBlock : .failed(errno)
        }
    }

    /// Accepts a waiting connection; nil when none is waiting.
    static func accept(_ listener: Int32, peer: inout PeerAddress) throws(SystemFailure) -> Int32? {
        var address = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        while true {
            let descriptor = unsafe withUnsafeMutablePointer(to: &address) { pointer in
                // The kernel writes at most `size` bytes, and the address begins with its family.
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    unsafe accept4(listener, address, &size, flags)
                }
            }
            if descriptor >= 0 {
                peer = PeerAddress(address)
                return descriptor
            }
            switch errno {
            // The client closed the connection before it was accepted; the next one may be waiting.
            case EINTR, ECONNABORTED, EPROTO: continue
            case EAGAIN: return nil
            default: throw SystemFailure("accept")
            }
        }
    }

    /// Creates a non-blocking stream socket.
    static func make(family: Int32) throws(SystemFailure) -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(family, type, 0)
        guard descriptor >= 0 else { throw SystemFailure("socket") }
        return descriptor
    }

    /// Starts connecting. Returns true if the connection is established at once, as with Unix sockets.
    static func connect(_ descriptor: Int32, to address: SocketAddress) throws(SystemFailure) -> Bool {
        let result = unsafe address.withSockaddr { unsafe Glibc.connect(descriptor, $0, $1) }
        if result == 0 { return true }
        if errno == EINPROGRESS { return false }
        throw SystemFailure("connect")
    }

    /// The `errno` of a failed connection attempt; 0 when it did not fail.
    static func pendingError(_ descriptor: Int32) -> Int32 {
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        // getsockopt(2) writes a number of this size into `code`.
        guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) == 0 else { return errno }
        return code
    }

    /// Sets a socket option to a number. Returns whether that succeeded.
    @discardableResult
    static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) -> Bool {
        var value = value
        // setsockopt(2) reads a number of this size.
        return unsafe setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size)) == 0
    }

    /// Turns Nagle's algorithm off, so that small writes are sent at once.
    static func setNoDelay(_ descriptor: Int32) { set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1) }

    /// Tells the peer that no more bytes will be sent.
    static func shutDownWriting(_ descriptor: Int32) { _ = shutdown(descriptor, Int32(SHUT_WR)) }

    /// Makes a later `close` send a reset, so that the peer sees that the stream was cut off.
    static func resetOnClose(_ descriptor: Int32) {
        var option = linger(l_onoff: 1, l_linger: 0)
        // setsockopt(2) reads a structure of this size.
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    static func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }
}
