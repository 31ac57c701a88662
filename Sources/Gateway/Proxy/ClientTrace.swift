import ConfigModel

/// Who the client of a request is, as far as those that passed it on can be trusted to say.
///
/// The peer is one of `trusted_proxies`. It says who its own peer was; if that is a trusted proxy too, what that one has said
/// before counts, and so on from the right of the list to the left. The first address that is no trusted proxy's is the
/// client: whatever stands to its left is its own word. Where a step names nobody (`unknown`, an obfuscated identifier,
/// anything that is no address), the one before it, which is known, is taken for the client.
///
/// Pure: the caller hands in the lines of the field, the last one first, until `isDone`.
struct ClientTrace {
    /// How many proxies are followed at most; with more, the last of these is taken for the client.
    static let mostProxies = 64

    /// The client; until `isDone` the last address that is known.
    private(set) var client: PeerAddress
    /// Whether lines further to the left say nothing more.
    private(set) var isDone = false
    private let field: ClientAddressField
    private let trusted: [NetworkBlock]
    private var proxies = 0

    /// Begins at a peer that is one of `trusted`.
    init(from peer: PeerAddress, by field: ClientAddressField, trusting trusted: [NetworkBlock]) {
        client = peer
        self.field = field
        self.trusted = trusted
    }

    /// Follows what one line of the field says.
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

    /// Takes the only line of a field that holds one address.
    mutating func take(_ value: Bytes) {
        if let address = PeerAddress(node: value) { client = address }
        isDone = true
    }
}

/// The elements of a list-valued field, the last one first, without blanks around them; empty ones are passed over (RFC 9110
/// section 5.6.1). A comma within a quoted string is part of it.
///
/// What stands on the right was written by those who are trusted, what stands on the left perhaps by an attacker: read in
/// this direction, a quotation mark that is never closed can't hide what was put behind it.
struct ElementsFromEnd {
    private let value: Bytes
    private var end: Int

    init(_ value: Bytes) {
        self.value = value
        end = value.count
    }

    /// The next element to the left; nil when there is none.
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

    /// Whether an odd number of backslashes stands before a byte.
    private func isEscaped(_ index: Int) -> Bool {
        var first = index
        while first > 0, value[first - 1] == UInt8(ascii: "\\") { first -= 1 }
        return (index - first) % 2 == 1
    }
}

/// An element of Forwarded: pairs of a name and a value, with a semicolon between (RFC 7239 section 4).
enum ForwardedElement {
    /// Whether every quotation mark of a field's value is closed: what is put behind one that is not would be read as part of
    /// it.
    static func hasClosedQuotes(_ value: Bytes) -> Bool {
        var isQuoted = false
        var at = 0
        while at < value.count {
            if value[at] == UInt8(ascii: "\"") { isQuoted.toggle() }
            at += isQuoted && value[at] == UInt8(ascii: "\\") ? 2 : 1
        }
        return !isQuoted && at == value.count
    }

    /// The value of a parameter, such as the node of `for`; nil when there is none, two, or when the element is malformed.
    static func value(of parameter: StaticString, in element: Bytes) -> Bytes? {
        var found: Bytes?
        var at = 0
        while true {
            // Pairs may be empty.
            while at < element.count, isBlank(element[at]) || element[at] == UInt8(ascii: ";") { at += 1 }
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
            while at < element.count, isBlank(element[at]) { at += 1 }
            guard at < element.count else { return found }
            guard element[at] == UInt8(ascii: ";") else { return nil }
        }
    }

    /// A value that begins at an offset, without its quotation marks; escapes are left as they are. Some proxies leave the
    /// marks away though an address has colons and brackets.
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

    private static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

    /// Whether a byte may stand in a token (RFC 9110 section 5.6.2).
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
    /// The address of a node (RFC 7239 section 6): IPv4, or IPv6 with or without brackets. A port behind it, which may be an
    /// obfuscated one, is passed over; nil for anything else, such as a name, `unknown` or an address with a zone.
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

    /// Whether one of some ranges of addresses holds this one.
    func isIn(anyOf blocks: [NetworkBlock]) -> Bool { blocks.contains { isIn($0) } }
}

extension Bytes {
    fileprivate var trimmingBlanks: Bytes {
        func isBlank(_ index: Int) -> Bool { self[index] == UInt8(ascii: " ") || self[index] == UInt8(ascii: "\t") }
        var (start, end) = (0, count)
        while start < end, isBlank(start) { start += 1 }
        while start < end, isBlank(end - 1) { end -= 1 }
        return self[start..<end]
    }

    fileprivate func firstIndex(of byte: UInt8) -> Int? {
        for index in 0..<count where self[index] == byte { return index }
        return nil
    }

    /// Whether these are nothing, or a colon with a port: a number, or `_` and an obfuscated one.
    fileprivate var isPortOrNothing: Bool {
        guard count > 0 else { return true }
        guard count > 1, self[0] == UInt8(ascii: ":") else { return false }
        if self[1] == UInt8(ascii: "_") { return true }
        return count <= 6 && (1..<count).allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= self[$0] }
    }
}
