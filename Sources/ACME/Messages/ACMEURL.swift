import PKI

/// An https URL at a CA (RFC 3986), at most 2048 bytes, without user name and fragment. The text is never normalized
/// later, since signatures cover it.
package struct ACMEURL: Sendable, Hashable, CustomStringConvertible {
    /// The URL as the CA or the operator wrote it.
    package let text: String

    package var description: String { text }

    /// Reads a URL. `thing` names the URL in errors.
    package init(_ text: String, of thing: String = "URL") throws(ACMEError) {
        guard text.utf8.count <= 2048 else { throw .malformed(thing, reason: "it is longer than 2048 bytes") }
        let shown = text.oneLine(limit: 200)
        guard text.utf8.count > 8, text.prefix(8).lowercased() == "https://" else {
            throw .malformed(thing, reason: "'\(shown)' is no https URL")
        }
        let rest = text.utf8.dropFirst(8)
        let authority = rest.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        guard Self.isAuthority(authority), Self.isPathAndQuery(rest[authority.endIndex...]) else {
            throw .malformed(thing, reason: "'\(shown)' breaks the grammar of URLs")
        }
        self.text = text
    }

    /// What is odd about a URL in ACME's JSON, such as `a relative URL`; nil for a whole https URL. In the fields
    /// Location (RFC 9110 section 10.2.2) and Link (RFC 8288 section 3.1) a relative URL is nothing odd.
    static func oddity(of text: String) -> String? {
        let isRelative = text.firstIndex { ":/?#".contains($0) }.map { text[$0] != ":" } ?? true
        if isRelative { return "a relative URL" }
        if text.prefix(7).lowercased() == "http://" { return "an http URL" }
        return encoded(text[...]) == text ? nil : "a URL with characters that must be percent-encoded"
    }

    /// The text as URLs are written: without white space at its ends, and with the bytes of its path and query
    /// percent-encoded that have no place there (RFC 3986 section 2.1), as curl and browsers do. Control characters
    /// within the text stay, and make it invalid.
    private static func encoded(_ text: Substring) -> String {
        let isBlank = { (byte: UInt8) in byte <= 0x20 }
        let bytes = text.utf8.drop(while: isBlank)
        guard let last = bytes.lastIndex(where: { !isBlank($0) }) else { return "" }
        let trimmed = String(Substring(bytes[...last]))
        // What is before the path is not changed.
        let scheme = trimmed.firstRange(of: "//").map { trimmed[..<$0.lowerBound] }
        let hasHost = scheme.map { $0.isEmpty || $0.hasSuffix(":") && !$0.contains { "/?".contains($0) } } ?? false
        let start =
            hasHost
            ? trimmed.dropFirst((scheme?.count ?? 0) + 2).firstIndex { "/?".contains($0) } ?? trimmed.endIndex
            : trimmed.startIndex
        var rest = trimmed[start...].utf8
        var encoded = Array(trimmed[..<start].utf8)
        while let byte = rest.popFirst() {
            let isEncoded = byte == UInt8(ascii: "%") && rest.count >= 2 && rest.prefix(2).allSatisfy(isHex)
            if isEncoded || isPlain(byte) || isBlank(byte) && byte != 0x20 || byte == 0x7F {
                encoded.append(byte)
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                encoded += "%\(digits.count < 2 ? "0" : "")\(digits)".utf8
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }

    /// Reads a URL in an answer from `base`. The URL may be relative (RFC 3986 section 5.2). A fragment is dropped,
    /// since clients don't send it to servers. A plain http URL at the host of `base` becomes https: if a proxy ends TLS
    /// in front of the CA, the CA may not know that it is reached by https.
    package init(_ reference: String, from base: ACMEURL, of thing: String) throws(ACMEError) {
        guard reference.utf8.count <= 2048 else { throw .malformed(thing, reason: "it is longer than 2048 bytes") }
        let target = Self.encoded(reference.prefix { $0 != "#" })
        guard !target.isEmpty else { throw .malformed(thing, reason: "it is empty") }
        let isPlain = target.lowercased().hasPrefix("http://\(base.authority.lowercased())/")
        try self.init(isPlain ? "https://\(target.dropFirst(7))" : base.resolved(target[...]), of: thing)
    }

    /// The host, and the port if there is one.
    var authority: Substring { text.dropFirst(8).prefix { !"/?".contains($0) } }

    /// Resolves a reference relative to this URL (RFC 3986 section 5.2).
    private func resolved(_ reference: Substring) -> String {
        let mark = reference.firstIndex { ":/?".contains($0) } ?? reference.endIndex
        if mark < reference.endIndex, reference[mark] == ":" { return String(reference) }
        if reference.hasPrefix("//") { return "https:\(reference)" }
        let end = authority.endIndex
        let origin = text[..<end]
        let path = text[end...].prefix { $0 != "?" }
        if reference.hasPrefix("?") { return "\(origin)\(path)\(reference)" }
        let pathReference = reference.prefix { $0 != "?" }
        let query = reference[pathReference.endIndex...]
        let folder = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
        let merged = pathReference.hasPrefix("/") ? String(pathReference) : "\(folder)/\(pathReference)"
        return "\(origin)\(Self.withoutDots(merged))\(query)"
    }

    /// Removes `.` and `..` segments from a path (RFC 3986 section 5.2.4).
    private static func withoutDots(_ path: String) -> String {
        var kept: [Substring] = []
        let segments = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        for segment in segments where segment != "." {
            if segment != ".." { kept.append(segment) } else { _ = kept.popLast() }
        }
        if segments.last == "." || segments.last == ".." { kept.append("") }
        return "/" + kept.joined(separator: "/")
    }

    /// Whether a text is a host name or an IP address, with or without a port.
    private static func isAuthority(_ text: Substring.UTF8View) -> Bool {
        var host = text
        if text.first == UInt8(ascii: "[") {
            guard let end = text.firstIndex(of: UInt8(ascii: "]")) else { return false }
            let address = text[text.index(after: text.startIndex)..<end]
            guard !address.isEmpty,
                address.allSatisfy({ isHex($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") })
            else { return false }
            host = text[text.index(after: end)...]
        } else {
            let name = text.prefix { $0 != UInt8(ascii: ":") }
            guard !name.isEmpty, name.allSatisfy({ isAlphanumeric($0) || ".-_".utf8.contains($0) }) else {
                return false
            }
            host = text[name.endIndex...]
        }
        guard host.first == UInt8(ascii: ":") else { return host.isEmpty }
        return (1...5).contains(host.count - 1) && host.dropFirst().allSatisfy { isDigit($0) }
    }

    private static func isPathAndQuery(_ text: Substring.UTF8View) -> Bool {
        var rest = text
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%") {
                guard let high = rest.popFirst(), let low = rest.popFirst(), isHex(high), isHex(low) else {
                    return false
                }
            } else if !isPlain(byte) {
                return false
            }
        }
        return true
    }

    /// Whether a byte may stand in a path or a query as it is.
    private static func isPlain(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || "/?:@-._~!$&'()*+,;=".utf8.contains(byte)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        isDigit(byte) || UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20
    }

    private static func isHex(_ byte: UInt8) -> Bool {
        isDigit(byte) || UInt8(ascii: "a")...UInt8(ascii: "f") ~= byte | 0x20
    }
}
