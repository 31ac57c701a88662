import COpenSSL

/// A name that identifies a peer, from its certificate's subject alternative names (RFC 5280 section 4.2.1.6).
///
/// Names of different kinds never match, and the common name does not count. Malformed names in a certificate are
/// ignored, so no rule matches them: names with a NUL, names with a wildcard (the owner could claim to be any of these
/// names), and URIs with a path segment that is empty, `.` or `..`.
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
        self = .dns(SubjectName.lowercased(String(decoding: bytes, as: UTF8.self)))
    }

    /// Reads an IP address. Returns nil unless there are 4 or 16 bytes.
    package init?(address bytes: [UInt8]) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self = .ip(SubjectName.addressText(bytes))
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
        self = .uri(SubjectName.lowercased("\(scheme)://\(authority)") + path)
    }

    /// Reads an e-mail address (Mailbox in RFC 5321, but without quotes). Returns nil for other bytes.
    package init?(email bytes: [UInt8]) {
        guard bytes.count <= Self.maximumBytes, let at = bytes.firstIndex(of: UInt8(ascii: "@")) else { return nil }
        let (local, domain) = (bytes[..<at], Array(bytes[(at + 1)...]))
        guard !local.isEmpty, local.allSatisfy({ Self.isAtom($0) }), Self.isHostName(domain) else { return nil }
        self = .email(
            String(decoding: local, as: UTF8.self) + "@"
                + SubjectName.lowercased(String(decoding: domain, as: UTF8.self)))
    }

    /// The name without its kind.
    package var text: String {
        switch self {
        case .dns(let text), .ip(let text), .uri(let text), .email(let text): text
        }
    }

    /// The name with its kind, such as `DNS:app.test`.
    var labeledText: String {
        switch self {
        case .dns(let text): "DNS:\(text)"
        case .ip(let text): "IP:\(text)"
        case .uri(let text): "URI:\(text)"
        case .email(let text): "email:\(text)"
        }
    }

    /// Reads the names in a certificate or request. Throws if there are too many names or the extension can't be read.
    static func names(of reader: X509ExtensionReader) throws(PKIError) -> [PeerName] {
        try unsafe SubjectNameReader.contents(of: reader).compactMap { content in
            switch content.kind {
            case GEN_DNS: PeerName(hostName: content.bytes)
            case GEN_IPADD: PeerName(address: content.bytes)
            case GEN_URI: PeerName(uri: content.bytes)
            case GEN_EMAIL: PeerName(email: content.bytes)
            default: nil
            }
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

    /// Whether a byte may occur in a URI. Queries (`?`), fragments (`#`), IPv6 addresses in brackets and quotes are not
    /// allowed.
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

/// A pattern that matches one or more names of peers.
///
/// In a host name, a leading `*.` stands for one label. In the path of a URI, `*` stands for one whole segment. IP
/// addresses and e-mail addresses can't have wildcards.
package struct PeerNamePattern: Sendable, Hashable {
    /// The name to match, perhaps with wildcards (`*`).
    private let pattern: PeerName
    private let segments: [Substring]
    private let hasWildcard: Bool

    /// Reads a host name that may begin with `*.`. Returns nil for any other text.
    package init?(hostName text: String) {
        let isWildcard = text.hasPrefix("*.")
        guard case .dns(let name)? = PeerName(hostName: Array((isWildcard ? String(text.dropFirst(2)) : text).utf8))
        else {
            return nil
        }
        self.init(.dns(isWildcard ? "*." + name : name), separator: ".", hasWildcard: isWildcard)
    }

    /// Reads a URI in whose path whole segments may be `*`. Returns nil for any other text.
    package init?(uri text: String) {
        guard let name = PeerName(uri: Array(text.utf8)) else { return nil }
        let segments = name.text.split(separator: "/", omittingEmptySubsequences: false)
        // The first three segments are the scheme, an empty text between the slashes, and the authority. Wildcards are
        // allowed only after these.
        guard segments.prefix(3).allSatisfy({ !$0.contains("*") }),
            segments.allSatisfy({ $0 == "*" || !$0.contains("*") })
        else { return nil }
        self.init(name, separator: "/", hasWildcard: segments.contains("*"))
    }

    /// Reads an IP address. Returns nil for any other text.
    package init?(address text: String) {
        guard let bytes = SubjectName.addressBytes(text), let name = PeerName(address: bytes) else { return nil }
        self.init(name, separator: "/", hasWildcard: false)
    }

    /// Reads an e-mail address. Returns nil for any other text.
    package init?(email text: String) {
        guard !text.contains("*"), let name = PeerName(email: Array(text.utf8)) else { return nil }
        self.init(name, separator: "/", hasWildcard: false)
    }

    private init(_ pattern: PeerName, separator: Character, hasWildcard: Bool) {
        self.pattern = pattern
        self.hasWildcard = hasWildcard
        segments = hasWildcard ? pattern.text.split(separator: separator, omittingEmptySubsequences: false) : []
    }

    /// The pattern with its kind. Patterns that match the same names have the same text.
    var labeledText: String { pattern.labeledText }

    package func matches(_ name: PeerName) -> Bool {
        guard hasWildcard else { return name == pattern }
        let separator: Character
        switch (pattern, name) {
        case (.dns, .dns): separator = "."
        case (.uri, .uri): separator = "/"
        default: return false
        }
        let parts = name.text.split(separator: separator, omittingEmptySubsequences: false)
        return parts.count == segments.count
            && zip(segments, parts).allSatisfy { segment, part in segment == "*" || segment == part }
    }
}
