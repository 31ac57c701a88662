import CLinux
import Glibc

/// The result of a read or write that never waits. Would-block is a result, not an error.
enum IOResult: Equatable {
    /// The number of bytes read or written.
    case bytes(Int)
    /// Nothing can be read or written now. The poller reports when this changes.
    case wouldBlock
    /// The peer has closed its side, so no more bytes will arrive.
    case ended
    /// The call has failed with this `errno`.
    case failed(Int32)
}

/// The socket calls of the data plane. A call that a signal interrupts is repeated.
enum Socket {
    static func receive(_ descriptor: Int32, into buffer: UnsafeMutableBufferPointer<UInt8>) -> IOResult {
        while true {
            // This is safe, since recv(2) writes at most `buffer.count` bytes into `buffer`.
            let count = unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return .bytes(count) }
            if count == 0 { return .ended }
            if errno == EINTR { continue }
            return errno == EAGAIN ? .wouldBlock : .failed(errno)
        }
    }

    /// Whether the socket has nothing to read: no bytes, no end of the stream, and no error.
    static func isSilent(_ descriptor: Int32) -> Bool {
        var byte: UInt8 = 0
        while true {
            // This is safe, since recv(2) writes at most one byte, into `byte`.
            let count = unsafe recv(descriptor, &byte, 1, Int32(MSG_PEEK))
            if count >= 0 { return false }
            if errno != EINTR { return errno == EAGAIN }
        }
    }

    /// How many of the written bytes the peer has not acknowledged.
    static func untaken(_ descriptor: Int32) -> Int64 { Int64(aegis_untaken(descriptor)) }

    /// Sends as many bytes as fit into the kernel's send buffer.
    static func send(_ descriptor: Int32, _ bytes: UnsafeBufferPointer<UInt8>) -> IOResult {
        while true {
            // This is safe, since send(2) only reads the bytes of the buffer.
            let count = unsafe Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count >= 0 { return .bytes(count) }
            if errno == EINTR { continue }
            return errno == EAGAIN ? .wouldBlock : .failed(errno)
        }
    }

    /// Returns nil if no connection waits to be accepted.
    static func accept(_ listener: Int32, peer: inout PeerAddress) throws(SystemFailure) -> Int32? {
        var address = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        while true {
            let descriptor = unsafe withUnsafeMutablePointer(to: &address) { pointer in
                // This is safe, since the kernel writes at most `size` bytes into `address`. Every kind of address
                // begins with its family.
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    unsafe accept4(listener, address, &size, flags)
                }
            }
            if descriptor >= 0 {
                peer = PeerAddress(address)
                return descriptor
            }
            switch errno {
            // The client has already closed this connection. Another connection may wait to be accepted.
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

    /// Starts to connect. Returns true if the connection is established at once, which is usual for Unix sockets.
    static func connect(_ descriptor: Int32, to address: SocketAddress) throws(SystemFailure) -> Bool {
        let result = unsafe address.withSockaddr { unsafe Glibc.connect(descriptor, $0, $1) }
        if result == 0 { return true }
        if errno == EINPROGRESS { return false }
        throw SystemFailure("connect")
    }

    /// The `errno` of a failed connection attempt; 0 if the attempt has not failed.
    static func pendingError(_ descriptor: Int32) -> Int32 {
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        // This is safe, since getsockopt(2) writes at most `size` bytes into `code`.
        guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) == 0 else { return errno }
        return code
    }

    @discardableResult
    static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) -> Bool {
        var value = value
        // This is safe, since setsockopt(2) only reads as many bytes as the number has.
        return unsafe setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size)) == 0
    }

    /// Turns off Nagle's algorithm, so that small writes are sent at once.
    static func setNoDelay(_ descriptor: Int32) { set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1) }

    /// Makes the kernel acknowledge the received bytes at once, without its usual delay (TCP_QUICKACK, tcp(7)).
    static func acknowledge(_ descriptor: Int32) { set(descriptor, Int32(IPPROTO_TCP), TCP_QUICKACK, 1) }

    /// Ends the sending side. The peer sees the end of the stream after the bytes that were sent.
    static func shutDownWriting(_ descriptor: Int32) { _ = shutdown(descriptor, Int32(SHUT_WR)) }

    /// Makes a later `close` send a reset, so that the peer knows that the stream was cut off.
    static func resetOnClose(_ descriptor: Int32) {
        var option = linger(l_onoff: 1, l_linger: 0)
        // This is safe, since setsockopt(2) only reads as many bytes as the structure has.
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    static func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }
}
