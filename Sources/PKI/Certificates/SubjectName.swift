import PeerNames

/// A name in a certificate (GeneralName, RFC 5280 section 4.2.1.6). Aegis ignores names of other kinds.
package enum SubjectName: Sendable, Hashable {
    /// A DNS name in lower-case ASCII. The first label may be `*`. A name that was read from a certificate need not be a
    /// valid host name.
    case dns(String)
    /// An IPv4 or IPv6 address in canonical text (RFC 5952).
    case ip(String)

    /// Reads an IP address or a host name. Throws if no certificate can contain the name.
    package init(_ text: String) throws(PKIError) {
        if let bytes = AddressText.bytes(of: text) {
            self = .ip(AddressText.text(of: bytes))
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
            guard let bytes = AddressText.bytes(of: address) else {
                throw .badName(address.oneLine, reason: "no IP address")
            }
            return DER.context(7, bytes)
        }
    }

    /// Checks a host name and converts it to lower case. A host name has at most 253 letters, digits, hyphens,
    /// underscores and dots, and at most 63 per label. The first label may be `*`.
    private static func checkedHostName(_ text: String) throws(PKIError) -> String {
        let name = AddressText.lowercased(text)
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
