import ConfigModel

/// Reads JSON (RFC 8259) that a client has sent: strictly, with no name twice in an object (RFC 7493), and without
/// fractions, which nothing here has.
struct JSONText {
    /// The most levels of nesting.
    static let mostLevels = 16
    /// The most values, of all levels together. No item has nearly as many, and a value takes much more memory than its
    /// bytes in the text.
    static let mostValues = 10_000

    struct Fault: Error, Equatable {
        /// What is wrong. A message puts it after "at byte …, ".
        let reason: String
        /// How many bytes come before the fault.
        let offset: Int
        /// The value that has the fault: a JSON pointer (RFC 6901).
        let pointer: String
    }

    private let bytes: [UInt8]
    private var place = 0
    /// The names and indices that lead to the present value.
    private var path: [String] = []
    private var values = 0

    static func value(of bytes: [UInt8]) throws(Fault) -> PlainValue {
        var text = JSONText(bytes: bytes)
        text.skipBlanks()
        let value = try text.value(level: 0)
        text.skipBlanks()
        guard text.place == bytes.count else { throw text.fault("there is more after the value") }
        return value
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private var next: UInt8? { place < bytes.count ? bytes[place] : nil }

    private func fault(_ reason: String, at offset: Int? = nil) -> Fault {
        let names = path.map { "/" + $0.replacing("~", with: "~0").replacing("/", with: "~1") }
        return Fault(reason: reason, offset: offset ?? place, pointer: names.joined())
    }

    private mutating func skipBlanks() {
        while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { place += 1 }
    }

    private mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        place += 1
        return true
    }

    private mutating func value(level: Int) throws(Fault) -> PlainValue {
        guard level < Self.mostLevels else { throw fault("it is nested too deeply") }
        values += 1
        guard values <= Self.mostValues else { throw fault("it has more than \(Self.mostValues) values") }
        switch next {
        case UInt8(ascii: "{"): return try object(level)
        case UInt8(ascii: "["): return try list(level)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "-"): return .int(try number())
        case let digit? where (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit): return .int(try number())
        default:
            for (word, value) in [("null", PlainValue.null), ("true", .bool(true)), ("false", .bool(false))]
            where bytes[place...].starts(with: word.utf8) {
                place += word.utf8.count
                return value
            }
            throw fault(next == nil ? "it ends too early" : "no value begins here")
        }
    }

    private mutating func object(_ level: Int) throws(Fault) -> PlainValue {
        place += 1
        var entries: [PlainValue.Entry] = []
        var names: Set<String> = []
        skipBlanks()
        if skip("}") { return .object([]) }
        repeat {
            skipBlanks()
            guard next == UInt8(ascii: "\"") else { throw fault("a name in quotes is missing") }
            let start = place
            let name = try string()
            path.append(name)
            guard names.insert(name).inserted else { throw fault("this name comes twice", at: start) }
            skipBlanks()
            guard skip(":") else { throw fault("a colon is missing") }
            skipBlanks()
            entries.append(PlainValue.Entry(name, try value(level: level + 1)))
            path.removeLast()
            skipBlanks()
        } while skip(",")
        guard skip("}") else { throw fault("a comma or a closing brace is missing") }
        return .object(entries)
    }

    private mutating func list(_ level: Int) throws(Fault) -> PlainValue {
        place += 1
        var items: [PlainValue] = []
        skipBlanks()
        if skip("]") { return .list([]) }
        repeat {
            skipBlanks()
            path.append("\(items.count)")
            items.append(try value(level: level + 1))
            path.removeLast()
            skipBlanks()
        } while skip(",")
        guard skip("]") else { throw fault("a comma or a closing bracket is missing") }
        return .list(items)
    }

    private mutating func number() throws(Fault) -> Int {
        let start = place
        _ = skip("-")
        let digits = place
        while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { place += 1 }
        let isZeroLed = place - digits > 1 && bytes[digits] == UInt8(ascii: "0")
        let text = String(decoding: bytes[start..<place], as: UTF8.self)
        guard !isZeroLed, let value = Int(text) else {
            throw fault("this is no number, or too large", at: start)
        }
        if let byte = next, [UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E")].contains(byte) {
            throw fault("numbers are whole here; a version such as 1.2 is a text, in quotes")
        }
        return value
    }

    private mutating func string() throws(Fault) -> String {
        place += 1
        var text: [UInt8] = []
        while let byte = next {
            place += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: text, as: UTF8.self) else { throw fault("this text is not UTF-8") }
                return text
            case UInt8(ascii: "\\"): try escape(&text)
            case 0..<0x20: throw fault("a control character must be escaped")
            default: text.append(byte)
            }
        }
        throw fault("a text does not end")
    }

    private mutating func escape(_ text: inout [UInt8]) throws(Fault) {
        guard let byte = next else { throw fault("a text does not end") }
        place += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            var code = try unit()
            if (0xD800..<0xDC00).contains(code), skip("\\"), skip("u") {
                let low = try unit()
                guard (0xDC00..<0xE000).contains(low) else { throw fault("this is half a character") }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw fault("this is half a character") }
            text += String(Character(scalar)).utf8
        default: throw fault("this escape is unknown")
        }
    }

    /// The four hex digits after `\u`.
    private mutating func unit() throws(Fault) -> UInt32 {
        guard place + 4 <= bytes.count else { throw fault("a text does not end") }
        let digits = String(decoding: bytes[place..<place + 4], as: UTF8.self)
        guard digits.utf8.count == 4, digits.allSatisfy(\.isHexDigit), let unit = UInt32(digits, radix: 16) else {
            throw fault("four hex digits are missing")
        }
        place += 4
        return unit
    }
}

extension PlainValue {
    /// The value after a JSON merge patch (RFC 7396).
    func merged(with patch: PlainValue) -> PlainValue {
        guard case .object(let changes) = patch else { return patch }
        var entries: [Entry] = if case .object(let entries) = self { entries } else { [] }
        var places = Dictionary(entries.enumerated().map { ($0.element.key, $0.offset) }) { first, _ in first }
        var removed: Set<String> = []
        for change in changes {
            if change.value == .null {
                removed.insert(change.key)
                continue
            }
            if let place = places[change.key] {
                entries[place] = Entry(change.key, entries[place].value.merged(with: change.value))
            } else {
                places[change.key] = entries.count
                entries.append(Entry(change.key, PlainValue.null.merged(with: change.value)))
            }
        }
        return .object(removed.isEmpty ? entries : entries.filter { !removed.contains($0.key) })
    }
}
