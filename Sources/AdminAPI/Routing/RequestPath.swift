import ConfigModel

/// A request's path and query, decoded.
///
/// A path has one spelling: no empty segments, no `.` and `..`, and no percent-encoded byte that could stand for itself.
/// So a filter in front of the listener and the API can't read the same path differently.
struct RequestPath: Equatable {
    let segments: [String]
    /// The query's parameters, in their order.
    let parameters: [(name: String, value: String)]

    /// Nil for a target that is not in its normal form.
    init?(_ target: String) {
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard let path = parts.first, path.first == "/" else { return nil }
        var segments: [String] = []
        // The root has no segments.
        for segment in path == "/" ? [] : path.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            guard let text = Self.decoded(segment, isPath: true), !["", ".", ".."].contains(text) else { return nil }
            segments.append(text)
        }
        self.segments = segments
        guard parts.count == 2, !parts[1].isEmpty else {
            parameters = []
            return
        }
        var parameters: [(String, String)] = []
        for pair in parts[1].split(separator: "&", omittingEmptySubsequences: false) {
            let words = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.decoded(words[0], isPath: false),
                let value = Self.decoded(words.count == 2 ? words[1] : "", isPath: false)
            else { return nil }
            parameters.append((name, value))
        }
        self.parameters = parameters
    }

    static func == (left: RequestPath, right: RequestPath) -> Bool {
        left.segments == right.segments
            && left.parameters.elementsEqual(right.parameters) { $0.name == $1.name && $0.value == $1.value }
    }

    /// Decodes percent-encoded bytes (RFC 3986 section 2.1). Nil for malformed ones, text that is not UTF-8, and control
    /// characters; in a path also for encoded slashes and for bytes that need no encoding.
    private static func decoded(_ text: Substring, isPath: Bool) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else {
                return nil
            }
            let value = high << 4 | low
            if isPath, value == UInt8(ascii: "/") || value == UInt8(ascii: "\\") || isUnreserved(value) { return nil }
            bytes.append(value)
        }
        guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }), let text = String(validating: bytes, as: UTF8.self) else {
            return nil
        }
        return text
    }

    static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        default: nil
        }
    }

    /// Whether a byte always stands for itself (RFC 3986 section 2.3).
    static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            true
        default: false
        }
    }
}
