import Glibc

package struct IPAddress: Sendable, Hashable {
    package enum Family: Sendable {
        case v4
        case v6
    }

    package let family: Family
    /// The address in network order: 4 or 16 bytes.
    package let bytes: [UInt8]

    /// Reads an address as `inet_pton` does; nil for any other text.
    package init?(_ text: String) {
        let isV6 = text.utf8.hasAny { $0 == UInt8(ascii: ":") }
        // Only texts that can be addresses are passed to inet_pton. A text with NUL is refused, since inet_pton would
        // ignore the rest of the text.
        guard isV6 || text.utf8.first.map({ $0 >= 0x30 && $0 <= 0x39 }) ?? false, !text.utf8.hasAny(where: { $0 == 0 })
        else { return nil }
        var bytes = [UInt8](repeating: 0, count: isV6 ? 16 : 4)
        // This is safe, since inet_pton writes exactly 4 or 16 bytes, depending on the family.
        let result = unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe inet_pton(isV6 ? AF_INET6 : AF_INET, text, buffer.baseAddress)
        }
        guard result == 1 else { return nil }
        self.family = isV6 ? .v6 : .v4
        self.bytes = bytes
    }

    /// The address in its usual form (RFC 5952 for IPv6).
    package var text: String {
        // This is safe, since inet_ntop writes at most the given size and ends the text with NUL.
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { buffer in
            let text = unsafe bytes.withUnsafeBytes { source in
                let family = family == .v6 ? AF_INET6 : AF_INET
                return unsafe inet_ntop(family, source.baseAddress, buffer.baseAddress, socklen_t(buffer.count))
            }
            return unsafe text.map { unsafe String(cString: $0) } ?? ""
        }
    }

    /// Whether only this machine itself has the address (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3).
    package var isLoopback: Bool {
        switch family {
        case .v4: bytes[0] == 127
        case .v6: self == IPAddress("::1")
        }
    }

    /// Whether the address stands for all addresses of a machine: `0.0.0.0` or `::`.
    package var isUnspecified: Bool { bytes.allSatisfy { $0 == 0 } }
}

/// A range of addresses in CIDR notation (RFC 4632).
package struct NetworkBlock: Sendable, Hashable {
    /// The first address of the range.
    package let address: IPAddress
    /// How many leading bits all addresses share: 0 to 32 for IPv4, 0 to 128 for IPv6.
    package let prefixLength: Int

    package var text: String { "\(address.text)/\(prefixLength)" }

    static func parse(_ text: String) throws(ValueFault) -> NetworkBlock {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(String(parts[0])) else {
            throw ValueFault(
                "bad address range \(text.quotedForMessage)",
                hint: "write CIDR notation, such as 10.0.0.0/8 or 2001:db8::/32")
        }
        let bits = address.bytes.count * 8
        let length = parts.count == 1 ? bits : parts[1].allSatisfy(\.isNumber) ? Int(parts[1]) ?? -1 : -1
        guard (0...bits).contains(length) else {
            throw ValueFault("bad prefix length in \(text.quotedForMessage)", hint: "it is 0 to \(bits)")
        }
        let block = NetworkBlock(address: address, prefixLength: length)
        guard block.masked.address == address else {
            throw ValueFault(
                "\(text.quotedForMessage) has address bits behind its prefix",
                hint: "did you mean \(block.masked.text)?")
        }
        return block
    }

    /// The block with all bits after the prefix set to zero.
    private var masked: NetworkBlock {
        var bytes = address.bytes
        for index in bytes.indices {
            let kept = min(8, max(0, prefixLength - index * 8))
            bytes[index] &= UInt8(truncatingIfNeeded: 0xFF00 >> kept)
        }
        return NetworkBlock(address: IPAddress(family: address.family, bytes: bytes), prefixLength: prefixLength)
    }
}

extension IPAddress {
    fileprivate init(family: Family, bytes: [UInt8]) {
        self.family = family
        self.bytes = bytes
    }
}

extension ValueShape where Value == NetworkBlock {
    static let networkBlock = text(
        "an address range", .string("An address range in CIDR notation, or one address", examples: ["10.0.0.0/8"]),
        parse: NetworkBlock.parse, format: \.text
    ).defined(as: "network_block")
}
