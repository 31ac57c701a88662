import PeerNames

extension ValueShape where Value == PeerNamePattern {
    /// The shape of a pattern that matches SANs of peers' certificates.
    static let peerNamePattern = text(
        "a name of a peer",
        .string(
            "A host name (*. in front stands for one label), a URI (* stands for one segment of its path), an IP address "
                + "or an e-mail address", examples: ["*.clients.example.com", "spiffe://example.com/ns/*/sa/web"]),
        parse: PeerNameText.pattern, format: \.text
    ).defined(as: "peer_name_pattern")
}

extension ValueShape where Value == [PeerNamePattern] {
    /// The shape of a list of SAN patterns. `PeerRules` of PKI accepts no more of them.
    static let peerNamePatterns = list(of: .peerNamePattern, atMost: PeerNameText.maximumPatterns, "names")
}

extension ValueShape where Value == PeerName {
    /// The shape of a name for which a certificate is issued.
    static let peerName = text(
        "a name", .string("A host name, a URI, an IP address or an e-mail address", examples: ["node.example.com"]),
        parse: { (text) throws(ValueFault) in
            guard let name = try PeerNameText.pattern(text).name else {
                throw ValueFault("a wildcard can't be here: \(text.quotedForMessage)", hint: "write one name")
            }
            return name
        },
        format: \.text
    ).defined(as: "peer_name")
}

/// Reads names of peers, and reports why a text is no such name.
package enum PeerNameText {
    /// The largest number of patterns in a list. `PeerRules` of PKI accepts no more.
    package static let maximumPatterns = 1000

    /// Reads a pattern. An internationalized host name is converted to its wire form.
    static func pattern(_ text: String) throws(ValueFault) -> PeerNamePattern {
        if let pattern = PeerNamePattern(text) { return pattern }
        if text.contains("://") {
            throw ValueFault(
                "bad URI \(text.quotedForMessage)",
                hint:
                    "a URI is scheme://authority/path, without query or empty segments; '*' stands for one whole segment"
            )
        }
        if text.contains("@") {
            throw ValueFault(
                "bad e-mail address \(text.quotedForMessage)", hint: "an address is user@host, without '*'")
        }
        let isWildcard = text.hasPrefix("*.") && text.utf8.count > 2
        if text.contains("*"), !isWildcard || text.dropFirst(2).contains("*") {
            throw ValueFault(
                "bad wildcard \(text.quotedForMessage)",
                hint: "a '*' stands for the whole first label of a host name, or for a whole segment of a URI's path")
        }
        let name = try DomainName.parse(isWildcard ? String(text.dropFirst(2)) : text).text
        guard let pattern = PeerNamePattern(isWildcard ? "*." + name : name) else {
            throw ValueFault("bad host name \(text.quotedForMessage)")
        }
        return pattern
    }
}
