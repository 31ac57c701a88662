/// The type of a scalar without quotes by the core schema of YAML 1.2 (section 10.3.2).
enum YAMLScalarType: Equatable {
    case null
    case bool(Bool)
    case integer
    case float
    case text

    init(plain bytes: ArraySlice<UInt8>) {
        guard let first = bytes.first else {
            self = .null
            return
        }
        switch first {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."):
            self = Self.number(bytes)
        case UInt8(ascii: "~"), UInt8(ascii: "n"), UInt8(ascii: "N"), UInt8(ascii: "t"), UInt8(ascii: "T"),
            UInt8(ascii: "f"), UInt8(ascii: "F"):
            self = Self.word(bytes)
        default: self = .text
        }
    }

    private static func word(_ bytes: ArraySlice<UInt8>) -> YAMLScalarType {
        guard bytes.count <= 5 else { return .text }
        switch String(decoding: bytes, as: UTF8.self) {
        case "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: return .text
        }
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> YAMLScalarType {
        if bytes.starts(with: Array("0x".utf8)) || bytes.starts(with: Array("0o".utf8)) {
            let isHex = bytes[bytes.startIndex + 1] == UInt8(ascii: "x")
            let digits = bytes.dropFirst(2)
            return !digits.isEmpty && digits.allSatisfy { isHex ? isHexDigit($0) : $0 & 0xF8 == 0x30 }
                ? .integer : .text
        }
        var rest = bytes
        if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
        let whole = rest.prefix(while: isDigit)
        rest = rest.dropFirst(whole.count)
        if rest.isEmpty { return whole.isEmpty ? .text : .integer }
        var fraction = 0
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            if whole.isEmpty, [".inf", ".Inf", ".INF"].contains("." + String(decoding: rest, as: UTF8.self)) {
                return .float
            }
            fraction = rest.prefix(while: isDigit).count
            rest = rest.dropFirst(fraction)
        }
        guard whole.count + fraction > 0 else {
            return [".nan", ".NaN", ".NAN"].contains(String(decoding: bytes, as: UTF8.self)) ? .float : .text
        }
        if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
            rest = rest.dropFirst()
            if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
            return !rest.isEmpty && rest.allSatisfy(isDigit) ? .float : .text
        }
        return rest.isEmpty ? .float : .text
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "f"))
    }
}
