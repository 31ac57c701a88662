/// A DNS name of letters, digits, hyphens and underscores, in lower case and without the final dot.
package struct DNSName: Hashable, CustomStringConvertible {
    package let text: String

    /// Reads a name and checks its lengths (RFC 1035 section 2.3.4). Underscores are allowed for names such as
    /// `_acme-challenge` (RFC 8552).
    package init(_ text: String) throws(DNSFailure) {
        let name = text.utf8.last == UInt8(ascii: ".") ? text.dropLast() : text[...]
        let labels = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let isName =
            name.utf8.count <= 253
            && labels.allSatisfy { (1...63).contains($0.count) && $0.allSatisfy(Self.isPlain) }
        guard isName else {
            let shown = text.unicodeScalars.allSatisfy { $0.isASCII && $0.value > 0x20 && $0.value < 0x7F }
            throw DNSFailure(
                shown
                    ? "'\(text.prefix(300))' is no DNS name"
                    : "a DNS name has characters other than letters, digits, '-' and '_'")
        }
        self.text = name.lowercased()
    }

    private init(known text: Substring) { self.text = String(text) }

    /// The name without its first label. Nil if the name has only one label.
    var parent: DNSName? {
        text.firstIndex(of: ".").map { DNSName(known: text[text.index(after: $0)...]) }
    }

    /// Whether the name is the zone's topmost name or below that name.
    func isInside(_ zone: DNSName) -> Bool { text == zone.text || text.hasSuffix("." + zone.text) }

    /// The wire format: each label after its length, then a zero (RFC 1035 section 3.1).
    package var wire: [UInt8] {
        text.utf8.split(separator: UInt8(ascii: ".")).flatMap { [UInt8($0.count)] + $0 } + [0]
    }

    package var description: String { text }

    /// The text of a name in wire format. A byte that is not allowed in a DNSName becomes \DDD, with its decimal value.
    package static func text(ofWire wire: [UInt8]) -> String {
        var labels: [String] = []
        var position = 0
        while position < wire.count, wire[position] > 0 {
            let end = min(wire.count, position + 1 + Int(wire[position]))
            labels.append(
                wire[position + 1..<end].map { byte in
                    isPlain(byte)
                        ? String(decoding: [byte], as: UTF8.self).lowercased()
                        : "\\" + String(repeating: "0", count: byte < 10 ? 2 : byte < 100 ? 1 : 0) + "\(byte)"
                }.joined())
            position = end
        }
        return labels.joined(separator: ".")
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte & 0xDF) && byte < 0x80
            || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
    }
}
