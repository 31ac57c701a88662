import CLinux
import Glibc

/// What came of reading or writing without waiting. Would-block is a result, not an error.
enum IOResult: Equatable {
    /// So many bytes went through.
    case bytes(Int)
    /// Nothing can be done now; the poller will tell when.
    case wouldBlock
    /// The other end has said that nothing more will come.
    case ended
    /// The connection is broken, by this `errno`.
    case failed(Int32)
}

/// The calls on sockets that the data plane makes. Interrupted ones are made again.
enum Socket {
    /// Receives into a buffer.
    static func receive(_ descriptor: Int32, into buffer: UnsafeMutableBufferPointer<UInt8>) -> IOResult {
        while true {
            // Within the buffer, by its own count.
            let count = unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return .bytes(count) }
            if count == 0 { return .ended }
            if errno == EINTR { continue }
            return errno == EAGAIN ? .wouldBlock : .failed(errno)
        }
    }

    /// Whether nothing has come: no byte, no end, no error.
    static func isSilent(_ descriptor: Int32) -> Bool {
        var byte: UInt8 = 0
        while true {
            let count = unsafe recv(descriptor, &byte, 1, Int32(MSG_PEEK))
            if count >= 0 { return false }
            if errno != EINTR { return errno == EAGAIN }
        }
    }

    /// How many bytes the kernel holds that the other end has not taken yet.
    static func untaken(_ descriptor: Int32) -> Int64 { Int64(aegis_untaken(descriptor)) }

    /// Sends what the kernel has room for.
    static func send(_ descriptor: Int32, _ bytes: UnsafeBufferPointer<UInt8>) -> IOResult {
        while true {
            let count = unsafe Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count >= 0 { return .bytes(count) }
            if errno == EINTR { continue }
            return errno == EAGAIN ? .wouldBlock : .failed(errno)
        }
    }

    /// Accepts a connection that waits; nil when none does.
    static func accept(_ listener: Int32, peer: inout PeerAddress) throws(SystemFailure) -> Int32? {
        var address = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        while true {
            let descriptor = unsafe withUnsafeMutablePointer(to: &address) { pointer in
                // The kernel writes at most `size` bytes of an address that begins with its family.
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    unsafe accept4(listener, address, &size, flags)
                }
            }
            if descriptor >= 0 {
                peer = PeerAddress(address)
                return descriptor
            }
            switch errno {
            // A client that has gone again is no reason to stop.
            case EINTR, ECONNABORTED, EPROTO: continue
            case EAGAIN: return nil
            default: throw SystemFailure("accept")
            }
        }
    }

    /// A new stream socket that doesn't block.
    static func make(family: Int32) throws(SystemFailure) -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(family, type, 0)
        guard descriptor >= 0 else { throw SystemFailure("socket") }
        return descriptor
    }

    /// Starts connecting. True when it is done at once, as with Unix sockets.
    static func connect(_ descriptor: Int32, to address: SocketAddress) throws(SystemFailure) -> Bool {
        let result = unsafe address.withSockaddr { unsafe Glibc.connect(descriptor, $0, $1) }
        if result == 0 { return true }
        if errno == EINPROGRESS { return false }
        throw SystemFailure("connect")
    }

    /// Why the connecting that had begun has failed; 0 when it has not.
    static func pendingError(_ descriptor: Int32) -> Int32 {
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) == 0 else { return errno }
        return code
    }

    /// Sets an option to a number.
    @discardableResult
    static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) -> Bool {
        var value = value
        return unsafe setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size)) == 0
    }

    /// Sends small writes at once.
    static func setNoDelay(_ descriptor: Int32) { set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1) }

    /// Says to the other end that nothing more will come.
    static func shutDownWriting(_ descriptor: Int32) { _ = shutdown(descriptor, Int32(SHUT_WR)) }

    /// Has the other end see that closing is no orderly end.
    static func resetOnClose(_ descriptor: Int32) {
        var option = linger(l_onoff: 1, l_linger: 0)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    static func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }
}
