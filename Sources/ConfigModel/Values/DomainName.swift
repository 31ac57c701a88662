/// A host name in its wire form: lower case, A-labels for names that are not ASCII (RFC 5890), no final dot.
///
/// A leading `*.` stands for exactly one label (RFC 6125 section 6.4.3).
package struct DomainName: Sendable, Hashable, Comparable {
    /// The whole name, including a leading `*.`: at most 253 bytes.
    package let text: String

    package var isWildcard: Bool { text.utf8.first == UInt8(ascii: "*") }

    /// The name without its first label: `example.com` for `app.example.com` and `*.example.com`.
    package var parent: Substring {
        text.utf8.firstIndex(of: UInt8(ascii: ".")).map { text[text.index(after: $0)...] } ?? ""
    }

    /// Whether a certificate for this name is valid for `other`: the names are equal, or this name is a wildcard whose
    /// `*` stands for the first label of `other`.
    package func covers(_ other: DomainName) -> Bool {
        self == other || (isWildcard && !other.isWildcard && !other.parent.isEmpty && parent == other.parent)
    }

    package static func < (left: DomainName, right: DomainName) -> Bool { left.text < right.text }

    /// Makes a name from a text that is already in wire form. Checks nothing.
    init(wireForm text: String) { self.text = text }

    /// Reads a host's name, which may be internationalized or have `*.` in front.
    package static func parse(_ text: String) throws(ValueFault) -> DomainName {
        if let plain = wireForm(ofASCII: text) { return DomainName(wireForm: plain) }
        let shown = text.quotedForMessage
        if IPAddress(text) != nil { throw ValueFault("\(shown) is an IP address, not a host name") }
        if text.contains("://") { throw ValueFault("\(shown) is a URL", hint: "write only its host name") }
        if text.hasSuffix(".") {
            throw ValueFault("bad host name \(shown): it ends with a dot", hint: "did you mean '\(text.dropLast())'?")
        }
        if text.contains("*") { try checkWildcard(text) }
        guard text.utf8.allSatisfy({ $0 < 0x80 }) else { return try internationalized(text) }
        if let reason = faultOfASCII(text) { throw ValueFault("bad host name \(shown): \(reason)") }
        return try internationalized(text)
    }

    private static func checkWildcard(_ text: String) throws(ValueFault) {
        let isLeading = text.hasPrefix("*.") && !text.dropFirst(2).contains("*")
        guard isLeading, text.dropFirst(2).contains(".") else {
            throw ValueFault(
                "bad wildcard \(text.quotedForMessage)",
                hint: "a '*' stands for the whole first label, with two labels or more behind it: *.example.com")
        }
    }

    /// Converts a name that needs IDNA: it has characters beyond ASCII, or A-labels, which libidn2 must be able to
    /// decode.
    private static func internationalized(_ text: String) throws(ValueFault) -> DomainName {
        guard !text.utf8.contains(where: { $0 <= 0x20 }) else {
            throw ValueFault(
                "bad international host name \(text.quotedForMessage): it has spaces or control characters")
        }
        let prefix = text.hasPrefix("*.") ? "*." : ""
        switch IDNA.wireForm(of: String(text.dropFirst(prefix.count))) {
        case .success(let name):
            guard let checked = plainForm(ofASCII: prefix + name) else {
                throw ValueFault("bad host name \(text.quotedForMessage)")
            }
            return DomainName(wireForm: checked)
        case .failure(let fault):
            throw ValueFault("bad international host name \(text.quotedForMessage): \(fault.reason)")
        }
    }

    /// The name in lower case when it is plain ASCII without A-labels; nil when it is faulty or needs IDNA.
    private static func wireForm(ofASCII text: String) -> String? {
        guard let plain = plainForm(ofASCII: text) else { return nil }
        return hasALabel(plain) ? nil : plain
    }

    /// Whether a label begins with `xn--` (RFC 5890 section 2.3.1).
    private static func hasALabel(_ text: String) -> Bool {
        let bytes = text.utf8.span
        for index in bytes.indices where bytes[index] == UInt8(ascii: "x") {
            let isFirst = index == 0 || bytes[index - 1] == UInt8(ascii: ".")
            if isFirst, text.utf8.dropFirst(index).starts(with: "xn--".utf8) { return true }
        }
        return false
    }

    /// The name in lower case when its labels are letters, digits and hyphens (RFC 1123 section 2.1), otherwise nil.
    private static func plainForm(ofASCII text: String) -> String? {
        var labelLength = 0
        var last: UInt8 = UInt8(ascii: ".")
        var labels = 1
        var hasUpperCase = false
        var isNumeric = true
        // A span is faster than a view of the string, and this function runs for every name of a file.
        let bytes = text.utf8.span
        guard (1...253).contains(bytes.count) else { return nil }
        let isWildcard = bytes.count > 1 && bytes[0] == UInt8(ascii: "*") && bytes[1] == UInt8(ascii: ".")
        for index in (isWildcard ? 2 : 0)..<bytes.count {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"): isNumeric = false
            case UInt8(ascii: "0")...UInt8(ascii: "9"): break
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): (hasUpperCase, isNumeric) = (true, false)
            case UInt8(ascii: "-"):
                if labelLength == 0 { return nil }
                isNumeric = false
            case UInt8(ascii: "."):
                if labelLength == 0 || last == UInt8(ascii: "-") { return nil }
                (labelLength, last, isNumeric) = (0, byte, true)
                labels += 1
                continue
            default: return nil
            }
            labelLength += 1
            last = byte
            if labelLength > 63 { return nil }
        }
        // If the last label were all digits, the name could be taken for an address (RFC 3696 section 2).
        guard labelLength > 0, last != UInt8(ascii: "-"), !isNumeric, !isWildcard || labels > 1 else { return nil }
        return hasUpperCase ? text.lowercased() : text
    }

    /// The reason why an ASCII name is no host name. Nil if none of the checks below finds one.
    private static func faultOfASCII(_ text: String) -> String? {
        if text.isEmpty { return "it is empty" }
        if text.utf8.count > 253 { return "it is longer than 253 characters" }
        for label in text.split(separator: ".", omittingEmptySubsequences: false) where label != "*" {
            if label.isEmpty { return "it has an empty label" }
            if label.utf8.count > 63 { return "a label is longer than 63 characters" }
            if label.hasPrefix("-") || label.hasSuffix("-") { return "a label begins or ends with '-'" }
            let stranger = label.first { !($0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-")) }
            if let stranger { return "\(String(stranger).quotedForMessage) is not allowed in it" }
        }
        let last = text.split(separator: ".").last ?? ""
        return last.allSatisfy(\.isNumber) ? "its last label is a number" : nil
    }
}

extension ValueShape where Value == DomainName {
    /// Reads internationalized names and wildcards too, and writes each name back in its wire form.
    static let domain = text(
        "a host name",
        .string("A host name; *. in front stands for one label", examples: ["app.example.com", "*.example.com"]),
        parse: DomainName.parse, format: \.text
    ).defined(as: "domain")
}
