import Glibc

/// A socket that is connected to a server. All its calls fail with `isLate` after one common deadline.
struct DNSSocket: ~Copyable {
    private let descriptor: Int32
    private let deadline: ContinuousClock.Instant

    /// Connects a socket of the kind SOCK_DGRAM or SOCK_STREAM.
    init(_ kind: __socket_type, to address: SocketAddress, before deadline: ContinuousClock.Instant)
        throws(ExchangeFault)
    {
        let flags = Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        descriptor = socket(address.family, Int32(kind.rawValue) | flags, 0)
        self.deadline = deadline
        guard descriptor >= 0 else { throw .system(errno) }
        guard address.connect(descriptor) != 0 else { return }
        guard errno == EINPROGRESS else { throw .system(errno) }
        try wait(for: POLLOUT)
        var (code, size) = (Int32(0), socklen_t(MemoryLayout<Int32>.size))
        // This is safe, since getsockopt writes at most `size` bytes, which is the size of `code`.
        guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) == 0 else { throw .system(errno) }
        guard code == 0 else { throw .system(code) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    func send(_ bytes: [UInt8]) throws(ExchangeFault) {
        var rest = bytes[...]
        while !rest.isEmpty {
            // This is safe, since send(2) reads only the bytes in `rest`, which stay valid within the closure.
            let sent = unsafe rest.withUnsafeBytes {
                unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if sent >= 0 { rest = rest.dropFirst(sent) } else { try retry(errno, POLLOUT) }
        }
    }

    /// Receives a datagram, or the next bytes of a stream. Empty at the end of the stream.
    func receive(atMost count: Int) throws(ExchangeFault) -> [UInt8] {
        while true {
            try wait(for: POLLIN)
            var code: Int32 = 0
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, received in
                // This is safe, since recv(2) writes at most `buffer.count` bytes. `received` is the number of bytes
                // that it wrote.
                let result = unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
                if result < 0 { code = errno }
                received = max(0, result)
            }
            if code == 0 { return bytes }
            try retry(code, POLLIN)
        }
    }

    private func retry(_ code: Int32, _ event: Int32) throws(ExchangeFault) {
        guard code == EAGAIN || code == EINTR else { throw .system(code) }
        try wait(for: event)
    }

    private func wait(for event: Int32) throws(ExchangeFault) {
        while true {
            let left = (deadline - .now).components
            guard left.seconds >= 0, left.attoseconds >= 0 else { throw .isLate }
            let milliseconds = left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000 + 1
            var state = pollfd(fd: descriptor, events: Int16(event), revents: 0)
            // This is safe, since poll(2) uses only the one structure `state`.
            let ready = unsafe poll(&state, 1, Int32(clamping: milliseconds))
            if ready > 0 { return }
            guard ready == 0 || errno == EINTR else { throw .system(errno) }
        }
    }
}

struct SocketAddress {
    private let storage: sockaddr_storage
    private let length: socklen_t

    /// The address family: AF_INET or AF_INET6.
    var family: Int32 { Int32(storage.ss_family) }

    /// Resolves a server's name. The addresses are in the order of getaddrinfo(3).
    static func all(of server: DNSServer) throws(DNSFailure) -> [SocketAddress] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        unsafe hints.ai_flags = AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(server.host, "\(server.port)", &hints, &list)
        // This is safe, since the text of gai_strerror(3) is static.
        guard code == 0 else { throw DNSFailure("\(server): \(unsafe String(cString: gai_strerror(code)))") }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var entry = unsafe list
        // This is safe, since the list ends with nil, at most the size of `storage` is copied, and each address has at
        // least `ai_addrlen` bytes.
        while let info = unsafe entry {
            var storage = sockaddr_storage()
            let length = unsafe min(Int(info.pointee.ai_addrlen), MemoryLayout<sockaddr_storage>.size)
            unsafe withUnsafeMutableBytes(of: &storage) { bytes in
                unsafe bytes.copyMemory(from: UnsafeRawBufferPointer(start: info.pointee.ai_addr, count: length))
            }
            addresses.append(SocketAddress(storage: storage, length: socklen_t(length)))
            unsafe entry = unsafe info.pointee.ai_next
        }
        return addresses
    }

    /// Calls connect(2) and returns its result.
    func connect(_ descriptor: Int32) -> Int32 {
        // This is safe, since a sockaddr_storage may be accessed as a sockaddr (RFC 3493 section 3.10), and `length` is
        // its used size.
        unsafe withUnsafePointer(to: storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(descriptor, $0, length)
            }
        }
    }

    /// The text of an IP address (RFC 5952). Nil unless the address has 4 (IPv4) or 16 bytes (IPv6).
    static func text(ofIP bytes: [UInt8]) -> String? {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { buffer in
            // This is safe: inet_ntop reads 4 or 16 bytes, as the family says. It writes at most `buffer.count` bytes
            // and ends the text with NUL.
            let text = unsafe inet_ntop(
                bytes.count == 4 ? AF_INET : AF_INET6, bytes, buffer.baseAddress, socklen_t(buffer.count))
            return unsafe text.map { unsafe String(cString: $0) }
        }
    }
}
