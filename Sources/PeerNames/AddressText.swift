import Glibc

/// Converts IP addresses and host names to the one form in which they are compared.
package enum AddressText {
    /// Converts ASCII letters to lower case. Host names have no other letters.
    package static func lowercased(_ text: String) -> String {
        String(decoding: text.utf8.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }

    /// Reads an IP address. Returns its 4 or 16 bytes, or nil for any other text.
    package static func bytes(of text: String) -> [UInt8]? {
        // inet_pton stops at a NUL and would ignore the text after it.
        guard text.utf8.count <= 64, !text.utf8.contains(0) else { return nil }
        let isV6 = text.utf8.contains(UInt8(ascii: ":"))
        var bytes = [UInt8](repeating: 0, count: isV6 ? 16 : 4)
        // This is safe, since inet_pton writes 4 bytes for AF_INET and 16 for AF_INET6, which is the size of `bytes`.
        return unsafe inet_pton(isV6 ? AF_INET6 : AF_INET, text, &bytes) == 1 ? bytes : nil
    }

    /// The canonical text of an IP address with 4 or 16 bytes (RFC 5952 for IPv6).
    package static func text(of bytes: [UInt8]) -> String {
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        // This is safe, since inet_ntop writes at most `buffer.count` bytes and ends the text with NUL.
        _ = unsafe inet_ntop(bytes.count == 16 ? AF_INET6 : AF_INET, bytes, &buffer, socklen_t(buffer.count))
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
