import Glibc

/// A name in a certificate (GeneralName, RFC 5280 section 4.2.1.6). Aegis ignores names of other kinds.
package enum SubjectName: Sendable, Hashable {
    /// A host name in lower-case ASCII. The first label may be `*`.
    case dns(String)
    /// An IPv4 or IPv6 address in canonical text (RFC 5952).
    case ip(String)

    /// Reads an IP address or a host name. Throws if no certificate can contain the name.
    package init(_ text: String) throws(PKIError) {
        if let bytes = Self.addressBytes(text) {
            self = .ip(Self.addressText(bytes))
        } else {
            self = try .dns(Self.checkedHostName(text))
        }
    }

    package var text: String {
        switch self {
        case .dns(let name), .ip(let name): name
        }
    }

    /// Encodes the name as a GeneralName in DER. The function checks the name again, since code can make an enum case
    /// without the checking initializer.
    func der() throws(PKIError) -> [UInt8] {
        switch self {
        case .dns(let name): return DER.context(2, Array(try Self.checkedHostName(name).utf8))
        case .ip(let address):
            guard let bytes = Self.addressBytes(address) else {
                throw .badName(address.oneLine, reason: "no IP address")
            }
            return DER.context(7, bytes)
        }
    }

    /// Checks a host name and converts it to lower case. A host name has at most 253 letters, digits, hyphens,
    /// underscores and dots, and at most 63 per label. The first label may be `*`.
    private static func checkedHostName(_ text: String) throws(PKIError) -> String {
        let name = lowercased(text)
        var labels = name.split(separator: ".", omittingEmptySubsequences: false)
        if labels.count > 1, labels[0] == "*" { labels.removeFirst() }
        let isValid =
            name.utf8.count <= 253
            && labels.allSatisfy { label in
                (1...63).contains(label.utf8.count)
                    && label.utf8.allSatisfy { byte in
                        (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2D || byte == 0x5F
                    }
            }
        guard isValid else { throw .badName(text.oneLine, reason: "it is not a host name in ASCII") }
        return name
    }

    /// Converts ASCII letters to lower case. Host names have no other letters.
    static func lowercased(_ text: String) -> String {
        String(decoding: text.utf8.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }

    /// Reads an IP address. Returns its 4 or 16 bytes, or nil for any other text.
    static func addressBytes(_ text: String) -> [UInt8]? {
        // inet_pton stops at a NUL and would ignore the text after it.
        guard text.utf8.count <= 64, !text.utf8.contains(0) else { return nil }
        let isV6 = text.utf8.contains(UInt8(ascii: ":"))
        var bytes = [UInt8](repeating: 0, count: isV6 ? 16 : 4)
        // inet_pton writes 4 bytes for AF_INET and 16 for AF_INET6, which is the size of `bytes`.
        return unsafe inet_pton(isV6 ? AF_INET6 : AF_INET, text, &bytes) == 1 ? bytes : nil
    }

    /// The canonical text of an IP address with 4 or 16 bytes.
    static func addressText(_ bytes: [UInt8]) -> String {
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        // inet_ntop writes at most `buffer.count` bytes and ends the text with NUL.
        _ = unsafe inet_ntop(bytes.count == 16 ? AF_INET6 : AF_INET, bytes, &buffer, socklen_t(buffer.count))
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

extension SubjectName: CustomStringConvertible {
    package var description: String { text }
}

extension String {
    /// The first 300 characters. Control and invisible characters are replaced, so that the text stays on one line of a
    /// log.
    var oneLine: String { oneLine(limit: 300) }

    /// The first `limit` Unicode scalars of the text. Control and invisible characters are replaced, as in `oneLine`.
    package func oneLine(limit: Int) -> String {
        String(
            String.UnicodeScalarView(
                unicodeScalars.prefix(limit).map { scalar in
                    switch scalar.properties.generalCategory {
                    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse: "\u{FFFD}"
                    default: scalar
                    }
                }))
    }
}
