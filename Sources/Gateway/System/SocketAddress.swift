import ConfigModel
import Glibc

package struct SocketAddress: Sendable, Hashable {
    /// The bytes of a `sockaddr_in`, `sockaddr_in6` or `sockaddr_un` structure.
    let bytes: [UInt8]
    let family: Int32

    init(_ address: IPAddress, port: Int) {
        switch address.family {
        case .v4:
            var value = sockaddr_in()
            value.sin_family = sa_family_t(AF_INET)
            value.sin_port = UInt16(port).bigEndian
            // This is safe, since an IPv4 address has 4 bytes and an IPv6 address has 16, and so have the fields
            // `sin_addr` and `sin6_addr`.
            unsafe withUnsafeMutableBytes(of: &value.sin_addr) { unsafe $0.copyBytes(from: address.bytes) }
            (bytes, family) = (Self.bytes(of: value), AF_INET)
        case .v6:
            var value = sockaddr_in6()
            value.sin6_family = sa_family_t(AF_INET6)
            value.sin6_port = UInt16(port).bigEndian
            unsafe withUnsafeMutableBytes(of: &value.sin6_addr) { unsafe $0.copyBytes(from: address.bytes) }
            (bytes, family) = (Self.bytes(of: value), AF_INET6)
        }
    }

    /// Traps if the path has more than 107 bytes. The configuration has no such path.
    init(unixPath path: String) {
        precondition(path.utf8.count <= 107, "the configuration has checked it")
        var value = sockaddr_un()
        value.sun_family = sa_family_t(AF_UNIX)
        // This is safe, since `sun_path` has 108 bytes. At least one zero byte follows the path and ends it.
        unsafe withUnsafeMutableBytes(of: &value.sun_path) { unsafe $0.copyBytes(from: Array(path.utf8)) }
        (bytes, family) = (Self.bytes(of: value), AF_UNIX)
    }

    /// Copies an address of `length` bytes that the system has returned. Returns nil for families other than IPv4 and
    /// IPv6.
    @unsafe
    init?(_ address: UnsafePointer<sockaddr>, length: Int) {
        family = unsafe Int32(address.pointee.sa_family)
        guard family == AF_INET || family == AF_INET6 else { return nil }
        bytes = unsafe Array(UnsafeRawBufferPointer(start: address, count: length))
    }

    var isUnix: Bool { family == AF_UNIX }

    func with(port: Int) -> SocketAddress {
        // In IPv4 and IPv6 addresses the port comes right after the two bytes of the family.
        var changed = bytes
        changed[2] = UInt8(port >> 8)
        changed[3] = UInt8(port & 0xFF)
        return SocketAddress(bytes: changed, family: family)
    }

    private init(bytes: [UInt8], family: Int32) {
        self.bytes = bytes
        self.family = family
    }

    /// The same address as a `PeerAddress`, which is empty for a Unix socket.
    var peer: PeerAddress {
        var storage = sockaddr_storage()
        // This is safe, since a sockaddr_storage has room for every sockaddr.
        unsafe withUnsafeMutableBytes(of: &storage) { unsafe $0.copyBytes(from: bytes) }
        return PeerAddress(storage)
    }

    /// Lends the address to a C function, for the time of the call.
    func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        unsafe bytes.withUnsafeBytes { buffer in
            // This is safe, since `bytes` is a complete sockaddr of its family, and so is not empty.
            unsafe body(
                buffer.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: sockaddr.self), socklen_t(buffer.count))
        }
    }

    private static func bytes<Value>(of value: Value) -> [UInt8] {
        // This is safe, since the structures begin as zeros and have no padding, so every byte is defined.
        unsafe withUnsafeBytes(of: value) { unsafe Array($0) }
    }
}

/// A client's address. It has a fixed size, so a connection contains the address without another allocation.
struct PeerAddress {
    /// The address in network byte order. An IPv4 address occupies the first four bytes. An IPv4-mapped IPv6 address is
    /// stored as an IPv4 address.
    private(set) var bytes = InlineArray<16, UInt8>(repeating: 0)
    private(set) var isV6 = false
    private(set) var port: UInt16 = 0
    private var text = InlineArray<46, UInt8>(repeating: 0)
    private var textCount: UInt8 = 0

    /// A client of a Unix socket has no address.
    init() {}

    init(_ storage: sockaddr_storage) {
        let family = Int32(storage.ss_family)
        unsafe withUnsafeBytes(of: storage) { raw in
            // This is safe, since the family tells which structure the storage contains. Both structures are smaller
            // than the storage.
            switch family {
            case AF_INET:
                let address = unsafe raw.loadUnaligned(as: sockaddr_in.self)
                port = UInt16(bigEndian: address.sin_port)
                for index in 0..<4 { bytes[index] = unsafe raw[4 + index] }
            case AF_INET6:
                let address = unsafe raw.loadUnaligned(as: sockaddr_in6.self)
                port = UInt16(bigEndian: address.sin6_port)
                for index in 0..<16 { bytes[index] = unsafe raw[8 + index] }
                isV6 = true
            default: break
            }
        }
        unmap()
        writeText()
    }

    /// Parses an address as inet_pton(3) does. Returns nil if the text is not an address.
    init?(text: Bytes, isV6: Bool) {
        var source = InlineArray<46, CChar>(repeating: 0)
        // At most 45 bytes are copied, so the last byte of `source` stays NUL. A text with a NUL is refused, since
        // inet_pton would only read the part before the NUL.
        guard 1..<46 ~= text.count else { return nil }
        for index in 0..<text.count {
            guard text[index] != 0 else { return nil }
            source[index] = CChar(bitPattern: text[index])
        }
        // This is safe, since inet_pton reads up to the NUL and writes 4 or 16 bytes, which `bytes` has room for.
        let isAddress = unsafe withUnsafePointer(to: &source) { source in
            unsafe withUnsafeMutablePointer(to: &bytes) { target in
                unsafe inet_pton(
                    isV6 ? AF_INET6 : AF_INET, UnsafeRawPointer(source).assumingMemoryBound(to: CChar.self), target)
                    == 1
            }
        }
        guard isAddress else { return nil }
        self.isV6 = isV6
        unmap()
        writeText()
    }

    /// Turns an IPv4-mapped IPv6 address into the IPv4 address (RFC 4291 section 2.5.5.2).
    private mutating func unmap() {
        guard isV6, (0..<10).allSatisfy({ bytes[$0] == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF else { return }
        for index in 0..<16 { bytes[index] = index < 4 ? bytes[12 + index] : 0 }
        isV6 = false
    }

    /// Whether both are the same IP address. The ports are not compared.
    func isSameAddress(as other: PeerAddress) -> Bool {
        isV6 == other.isV6 && (0..<(isV6 ? 16 : 4)).allSatisfy { bytes[$0] == other.bytes[$0] }
    }

    /// Identifies a client for the limits. Only the first 64 bits of an IPv6 address are used, since one customer
    /// usually has all addresses that begin with the same 64 bits (RFC 6177).
    struct Key: Hashable {
        fileprivate let prefix: UInt64
        fileprivate let isV6: Bool

        /// A number for the network: the address, or the first 64 bits of an IPv6 address. An IPv4 and an IPv6 network
        /// may have the same number, but such IPv6 networks are not used.
        var network: UInt64 { prefix }
    }

    var key: Key {
        var prefix: UInt64 = 0
        for index in 0..<(isV6 ? 8 : 4) { prefix = prefix << 8 | UInt64(bytes[index]) }
        return Key(prefix: prefix, isV6: isV6)
    }

    /// Writes an IPv4 address in dotted decimal, and an IPv6 address in the form of RFC 5952.
    func write(to output: borrowing Scratch) { output.append(text.span.extracting(first: Int(textCount))) }

    var description: String { String(decoding: (0..<Int(textCount)).map { text[$0] }, as: UTF8.self) }

    /// Makes the text only once, since all requests of a connection use it.
    private mutating func writeText() {
        var source = bytes
        var written = InlineArray<46, CChar>(repeating: 0)
        let family = isV6 ? AF_INET6 : AF_INET
        // This is safe, since inet_ntop reads 4 or 16 bytes and writes at most 46, including the final NUL.
        let isWritten = unsafe withUnsafePointer(to: &source) { source in
            unsafe withUnsafeMutablePointer(to: &written) { target in
                unsafe inet_ntop(
                    family, source, UnsafeMutableRawPointer(target).assumingMemoryBound(to: CChar.self), 46) != nil
            }
        }
        guard isWritten else { return }
        while textCount < 46, written[Int(textCount)] != 0 {
            text[Int(textCount)] = UInt8(bitPattern: written[Int(textCount)])
            textCount += 1
        }
    }

    /// A hash of the address (FNV-1a), for the balance method `ip_hash`. A restart does not change it.
    var hash: UInt32 {
        var hash: UInt32 = 2_166_136_261
        for index in 0..<(isV6 ? 16 : 4) { hash = (hash ^ UInt32(bytes[index])) &* 16_777_619 }
        return hash
    }

    /// Whether the address is in the network. An IPv4 address is in no IPv6 network, and an IPv6 address is in no IPv4
    /// network.
    func isIn(_ block: NetworkBlock) -> Bool {
        guard (block.address.family == .v6) == isV6 else { return false }
        var left = block.prefixLength
        for index in 0..<block.address.bytes.count where left > 0 {
            let mask = UInt8(truncatingIfNeeded: 0xFF00 >> min(8, left))
            if bytes[index] & mask != block.address.bytes[index] & mask { return false }
            left -= 8
        }
        return true
    }
}
