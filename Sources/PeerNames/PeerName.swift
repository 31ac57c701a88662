// PeerNames: names in certificates that identify peers, and patterns for such names.
//
// The module does no I/O and does not use OpenSSL. PKI reads names from certificates, and ConfigModel reads patterns
// from the file. With this module, both use the same grammar.

/// A name that identifies a peer, from its certificate's subject alternative names (RFC 5280 section 4.2.1.6).
///
/// Names of different kinds never match, and the common name does not count. A certificate's malformed names are
/// ignored, so no rule matches them. Malformed are names with a NUL, URIs with a path segment that is empty, `.` or
/// `..`, and names with a wildcard, with which a peer could claim to be any host that the wildcard covers.
package enum PeerName: Sendable, Hashable {
    /// A host name in lower-case ASCII.
    case dns(String)
    /// An IPv4 or IPv6 address in canonical text (RFC 5952).
    case ip(String)
    /// A URI, such as a SPIFFE ID. The scheme and the authority are in lower case.
    case uri(String)
    /// An e-mail address. The domain is in lower case.
    case email(String)

    /// The maximum length of a URI or e-mail address, in bytes. It is the limit for SPIFFE IDs.
    package static let maximumBytes = 2048

    /// Reads a host name. Returns nil for a wildcard and for other bytes.
    package init?(hostName bytes: [UInt8]) {
        guard Self.isHostName(bytes) else { return nil }
        self = .dns(AddressText.lowercased(String(decoding: bytes, as: UTF8.self)))
    }

    /// Reads an IP address. Returns nil unless there are 4 or 16 bytes.
    package init?(address bytes: [UInt8]) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self = .ip(AddressText.text(of: bytes))
    }

    /// Reads a URI (RFC 3986) with a scheme and an authority. Returns nil for other bytes, and for an authority with a
    /// user.
    package init?(uri bytes: [UInt8]) {
        guard bytes.count <= Self.maximumBytes, bytes.allSatisfy(Self.isURI) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix("://") else { return nil }
        let scheme = text[..<colon]
        guard let first = scheme.utf8.first, Self.isLetter(first), scheme.utf8.allSatisfy(Self.isScheme) else {
            return nil
        }
        let rest = text[text.index(colon, offsetBy: 3)...]
        let parts = rest.split(separator: "/", omittingEmptySubsequences: false)
        guard let authority = parts.first, !authority.isEmpty, !authority.contains("@") else { return nil }
        guard parts.dropFirst().allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }) else { return nil }
        let path = rest[authority.endIndex...]
        self = .uri(AddressText.lowercased("\(scheme)://\(authority)") + path)
    }

    /// Reads an e-mail address (Mailbox in RFC 5321, but without quotes). Returns nil for other bytes.
    package init?(email bytes: [UInt8]) {
        guard bytes.count <= Self.maximumBytes, let at = bytes.firstIndex(of: UInt8(ascii: "@")) else { return nil }
        let (local, domain) = (bytes[..<at], Array(bytes[(at + 1)...]))
        guard !local.isEmpty, local.allSatisfy({ Self.isAtom($0) }), Self.isHostName(domain) else { return nil }
        self = .email(
            String(decoding: local, as: UTF8.self) + "@"
                + AddressText.lowercased(String(decoding: domain, as: UTF8.self)))
    }

    /// The name without its kind.
    package var text: String {
        switch self {
        case .dns(let text), .ip(let text), .uri(let text), .email(let text): text
        }
    }

    /// The name with its kind, such as `DNS:app.test`.
    package var labeledText: String {
        switch self {
        case .dns(let text): "DNS:\(text)"
        case .ip(let text): "IP:\(text)"
        case .uri(let text): "URI:\(text)"
        case .email(let text): "email:\(text)"
        }
    }

    /// Whether the bytes are a host name without a final dot: letters, digits, hyphens and underscores, at most 63 per
    /// label and 253 in all.
    private static func isHostName(_ bytes: [UInt8]) -> Bool {
        let labels = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        return bytes.count <= 253
            && labels.allSatisfy { label in
                (1...63).contains(label.count)
                    && label.allSatisfy { isLetter($0) || isDigit($0) || "-_".utf8.contains($0) }
            }
    }

    /// Whether a byte may occur in a URI. The signs of queries (`?`), of fragments (`#`) and of IPv6 addresses (`[` and
    /// `]`) are not allowed.
    private static func isURI(_ byte: UInt8) -> Bool {
        isLetter(byte) || isDigit(byte) || "-._~:/@!$&'()*+,;=%".utf8.contains(byte)
    }

    private static func isScheme(_ byte: UInt8) -> Bool {
        isLetter(byte) || isDigit(byte) || "+-.".utf8.contains(byte)
    }

    /// Whether a byte may occur before the `@` of an e-mail address (dot-atom, RFC 5322 section 3.2.3).
    private static func isAtom(_ byte: UInt8) -> Bool {
        isLetter(byte) || isDigit(byte) || "!#$%&'*+-/=?^_`{|}~.".utf8.contains(byte)
    }

    private static func isLetter(_ byte: UInt8) -> Bool { 0x61...0x7A ~= byte | 0x20 }
    private static func isDigit(_ byte: UInt8) -> Bool { 0x30...0x39 ~= byte }
}
