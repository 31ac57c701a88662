import Gateway

/// What a form of the page has sent (application/x-www-form-urlencoded).
struct PageForm: Sendable {
    /// The name of the field by which a form shows that it is ours.
    static let changeToken = "_csrf"
    /// The name of the field with the ETag of what a form changes.
    static let tag = "_tag"

    private var values: [String: String] = [:]
    /// Whether a client has sent the values, so that they may be secret.
    private let isSent: Bool

    /// A form as a page shows it at first. A check box that is not ticked has no value.
    init(values: [String: String?]) {
        self.values = values.compactMapValues(\.self)
        isSent = false
    }

    /// Empty for a request without a body.
    init(_ request: AdminRequest) throws(Problem) {
        isSent = true
        guard !request.body.isEmpty else { return }
        let type = request.values(of: "content-type").first?.prefix { $0 != ";" }.lowercased()
        guard type == "application/x-www-form-urlencoded", let text = String(validating: request.body, as: UTF8.self)
        else { throw Problem(.unsupportedType, "Forms of this page send application/x-www-form-urlencoded.") }
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.decoded(parts[0]), let value = Self.decoded(parts.count == 2 ? parts[1] : "") else {
                throw Problem(.invalid, "The form can't be read.")
            }
            values[name] = value
        }
    }

    subscript(name: String) -> String? { values[name] }

    /// The value that a page may show in a field. Empty if a client has sent the value and it may be a secret.
    func shown(_ name: String) -> String {
        let text = values[name] ?? ""
        return !isSent || HarmlessText.contains(text) ? text : ""
    }

    /// The certificates in a value, in PEM, whatever else it contains.
    func certificates(_ name: String) -> String { HarmlessText.certificates(in: values[name] ?? "") }

    /// The value without blanks around it; nil for an empty one.
    func text(_ name: String) -> String? {
        let text = values[name].map { String($0.trimmingPrefix(while: \.isWhitespace)) } ?? ""
        let end = text.lastIndex { !$0.isWhitespace }
        return end.map { String(text[...$0]) }
    }

    /// The entries of a value, which blanks, line ends or commas separate.
    func lines(_ name: String) -> [String] {
        (values[name] ?? "").split(whereSeparator: { $0.isWhitespace || $0 == "," }).map(String.init)
    }

    /// Decodes percent-encoded bytes, and blanks, which forms write as `+`. Nil for malformed ones, and for a text that
    /// is not UTF-8.
    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst().flatMap(RequestPath.digit),
                    let low = rest.popFirst().flatMap(RequestPath.digit)
                else { return nil }
                bytes.append(high << 4 | low)
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
