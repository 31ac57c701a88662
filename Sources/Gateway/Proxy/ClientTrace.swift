import ConfigModel
import HTTP1

/// Finds the client of a request that came through trusted proxies.
///
/// Each proxy adds the address of its own peer to the right end of a header field. So the addresses are read from right
/// to left. The first address that is not a trusted proxy is the client. Addresses further left may be invented by the
/// client. If an element has no address (`unknown`, an obfuscated identifier, anything else), the search ends and the
/// last address found counts as the client.
///
/// This type does no I/O: the caller passes the lines of the field, last line first, until `isDone`.
struct ClientTrace {
    /// The largest number of addresses that are read. After that, the last address counts as the client.
    static let mostProxies = 64

    /// The client. Until `isDone`, the last address found.
    private(set) var client: PeerAddress
    /// Whether the client is found. If so, no further lines are needed.
    private(set) var isDone = false
    private let field: ClientAddressField
    private let trusted: [NetworkBlock]
    private var proxies = 0

    /// `peer` is the address from which the request came, and is one of `trusted`.
    init(from peer: PeerAddress, by field: ClientAddressField, trusting trusted: [NetworkBlock]) {
        client = peer
        self.field = field
        self.trusted = trusted
    }

    /// Reads the addresses in one line of the field, from right to left.
    mutating func follow(_ line: Bytes) {
        var elements = ElementsFromEnd(line)
        while !isDone, let element = elements.next() {
            let node = field == .forwarded ? ForwardedElement.value(of: "for", in: element) : element
            guard let node, let address = PeerAddress(node: node) else {
                isDone = true
                return
            }
            client = address
            proxies += 1
            isDone = !address.isIn(anyOf: trusted) || proxies == Self.mostProxies
        }
    }

    /// Reads a field whose whole value is one address, such as X-Real-IP.
    mutating func read(_ value: Bytes) {
        if let address = PeerAddress(node: value) { client = address }
        isDone = true
    }
}

/// Iterates over the elements of a list-valued field (RFC 9110 section 5.6.1) from last to first. Blanks around
/// elements and empty elements are left out. A comma within a quoted string does not separate elements.
///
/// Trusted proxies add to the right end of the field, while an attacker may have written the left end. Reading starts
/// at the right, so an attacker's unclosed quotation mark can't hide what proxies have added.
struct ElementsFromEnd {
    private let value: Bytes
    private var end: Int

    init(_ value: Bytes) {
        self.value = value
        end = value.count
    }

    /// Returns nil after the leftmost element.
    mutating func next() -> Bytes? {
        while end > 0 {
            var start = end
            var isQuoted = false
            while start > 0 {
                let byte = value[start - 1]
                if byte == UInt8(ascii: "\""), !isQuoted || !isEscaped(start - 1) { isQuoted.toggle() }
                if byte == UInt8(ascii: ","), !isQuoted { break }
                start -= 1
            }
            let element = value[start..<end].trimmingBlanks
            end = max(0, start - 1)
            if !element.isEmpty { return element }
        }
        return nil
    }

    /// Whether a backslash escapes the byte at `index`. This is so if an odd number of backslashes precedes the byte.
    private func isEscaped(_ index: Int) -> Bool {
        var first = index
        while first > 0, value[first - 1] == UInt8(ascii: "\\") { first -= 1 }
        return (index - first) % 2 == 1
    }
}

/// Reads an element of the Forwarded field: pairs of a name and a value, separated by semicolons (RFC 7239 section 4).
enum ForwardedElement {
    /// Whether every quotation mark in a field's value is closed. Otherwise an element that the gateway adds would
    /// become part of a quoted string.
    static func hasClosedQuotes(_ value: Bytes) -> Bool {
        var isQuoted = false
        var at = 0
        while at < value.count {
            if value[at] == UInt8(ascii: "\"") { isQuoted.toggle() }
            at += isQuoted && value[at] == UInt8(ascii: "\\") ? 2 : 1
        }
        return !isQuoted && at == value.count
    }

    /// Returns the value of a parameter, such as `for`. Returns nil if the parameter is missing or repeated, or if the
    /// element is malformed.
    static func value(of parameter: StaticString, in element: Bytes) -> Bytes? {
        var found: Bytes?
        var at = 0
        while true {
            // A Forwarded element may contain empty pairs (RFC 7239 section 4).
            while at < element.count, element[at].isBlank || element[at] == UInt8(ascii: ";") { at += 1 }
            guard at < element.count else { return found }
            let nameStart = at
            while at < element.count, isToken(element[at]) { at += 1 }
            let name = element[nameStart..<at]
            guard !name.isEmpty, at < element.count, element[at] == UInt8(ascii: "=") else { return nil }
            at += 1
            guard let value = value(of: element, &at) else { return nil }
            if name.equalsIgnoringCase(parameter) {
                guard found == nil else { return nil }
                found = value
            }
            while at < element.count, element[at].isBlank { at += 1 }
            guard at < element.count else { return found }
            guard element[at] == UInt8(ascii: ";") else { return nil }
        }
    }

    /// Reads the value that starts at offset `at`, and returns it without its quotation marks. Backslashes are kept.
    /// Some proxies omit the quotation marks around an address with colons and brackets, so such a value is accepted.
    private static func value(of element: Bytes, _ at: inout Int) -> Bytes? {
        let start = at
        guard at < element.count, element[at] == UInt8(ascii: "\"") else {
            while at < element.count, isToken(element[at]) || isOfAddress(element[at]) { at += 1 }
            return at > start ? element[start..<at] : nil
        }
        at += 1
        while at < element.count, element[at] != UInt8(ascii: "\"") {
            at += element[at] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard at < element.count else { return nil }
        at += 1
        return element[start + 1..<at - 1]
    }

    private static func isOfAddress(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ":") || byte == UInt8(ascii: "[") || byte == UInt8(ascii: "]")
    }

    /// Whether a byte is allowed in a token (RFC 9110 section 5.6.2).
    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}

extension PeerAddress {
    /// Reads the address of a node (RFC 7239 section 6): IPv4, or IPv6 with or without brackets. A port after the
    /// address is ignored. Returns nil for anything else, such as a name, `unknown` or an address with a zone.
    init?(node: Bytes) {
        var end = node.count
        if node.starts(with: "[") {
            guard let close = node.firstIndex(of: UInt8(ascii: "]")), node.from(close + 1).isPortOrNothing else {
                return nil
            }
            self.init(text: node[1..<close], isV6: true)
            return
        }
        let colon = node.firstIndex(of: UInt8(ascii: ":"))
        let isV6 = colon.map { node.from($0 + 1).firstIndex(of: UInt8(ascii: ":")) != nil } ?? false
        if let colon, !isV6 {
            guard node.from(colon).isPortOrNothing else { return nil }
            end = colon
        }
        self.init(text: node[0..<end], isV6: isV6)
    }

    func isIn(anyOf blocks: [NetworkBlock]) -> Bool { blocks.contains { isIn($0) } }
}

extension Bytes {
    fileprivate var trimmingBlanks: Bytes {
        var (start, end) = (0, count)
        while start < end, self[start].isBlank { start += 1 }
        while start < end, self[end - 1].isBlank { end -= 1 }
        return self[start..<end]
    }

    /// Whether the bytes are empty, or a colon and a port. The port is a number, or `_` and an obfuscated port (RFC
    /// 7239 section 6.3).
    fileprivate var isPortOrNothing: Bool {
        guard count > 0 else { return true }
        guard count > 1, self[0] == UInt8(ascii: ":") else { return false }
        if self[1] == UInt8(ascii: "_") { return true }
        return count <= 6 && (1..<count).allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= self[$0] }
    }
}
