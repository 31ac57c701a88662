import ConfigModel
import Testing

@testable import AdminAPI

/// What clients send is read as JSON, strictly.
@Suite struct JSONTextTests {
    private static let sample =
        #" { "a" : [ 1 , -20 , "x\n\u00e9\ud83d\ude00\/" , true , false , null ] , "b" : { } } "#

    @Test("JSON values are read exactly")
    func reads() throws {
        let value = try JSONText.value(of: Array(Self.sample.utf8))
        let list = PlainValue.list([.int(1), .int(-20), .string("x\né😀/"), .bool(true), .bool(false), .null])
        #expect(value == .map([("a", list), ("b", .object([]))]))
        #expect(try JSONText.value(of: value.json()) == value)
        #expect(try JSONText.value(of: Array("-9223372036854775808".utf8)) == .int(.min))
    }

    @Test("No prefix of a JSON value is accepted")
    func prefixes() {
        let bytes = Array(Self.sample.utf8)
        for count in 0..<bytes.count - 1 {
            #expect(throws: JSONText.Fault.self) { try JSONText.value(of: Array(bytes.prefix(count))) }
        }
    }

    @Test(
        "Text that is not JSON is refused",
        arguments: [
            "", " ", "nul", "nulll", "[1,]", "{,}", #"{"a":1,}"#, #"{"a" 1}"#, "{a:1}", "'a'", "01", "-", "+1", "1.5",
            "1e3", "1E3", "9223372036854775808", #""\x""#, #""\ud800""#, #""\ud800\u0041""#, #""\udc00""#, #""\u12g4""#,
            "\"a\tb\"", #""a"#, #""a\"#, "[1 2]", "1 1", #"{"a":1,"a":2}"#, #"{"a":1,"\u0061":2}"#, "\u{FEFF}1",
            "// x\n1",
            "NaN", "[", "]", "\u{1}",
        ])
    func refused(_ text: String) {
        #expect(throws: JSONText.Fault.self) { try JSONText.value(of: Array(text.utf8)) }
    }

    @Test("A text must be UTF-8")
    func encoding() {
        for bytes: [UInt8] in [[0xFF], [0xC3], [0xED, 0xA0, 0x80], [0xC0, 0x80]] {
            #expect(throws: JSONText.Fault.self) {
                try JSONText.value(of: [UInt8(ascii: "\"")] + bytes + [UInt8(ascii: "\"")])
            }
        }
    }

    @Test("Nesting is limited")
    func nesting() throws {
        func nested(_ levels: Int) -> [UInt8] {
            Array((String(repeating: "[", count: levels) + String(repeating: "]", count: levels)).utf8)
        }
        _ = try JSONText.value(of: nested(16))
        #expect(
            throws: JSONText.Fault(
                reason: "it is nested too deeply", offset: 16, pointer: String(repeating: "/0", count: 16))
        ) {
            try JSONText.value(of: nested(17))
        }
        #expect(throws: JSONText.Fault.self) { try JSONText.value(of: nested(500_000)) }
    }

    @Test("The number of values is limited")
    func values() throws {
        func list(_ count: Int) -> [UInt8] {
            Array(("[" + Array(repeating: "1", count: count - 1).joined(separator: ",") + "]").utf8)
        }
        _ = try JSONText.value(of: list(10_000))
        #expect(throws: JSONText.Fault.self) { try JSONText.value(of: list(10_001)) }
    }

    struct Merge: Sendable {
        let target: String
        let patch: String
        let result: String
    }

    // The cases of RFC 7396 appendix A, but for those with fractions.
    @Test(
        "A merge patch gives the results of RFC 7396",
        arguments: [
            Merge(target: #"{"a":"b"}"#, patch: #"{"a":"c"}"#, result: #"{"a":"c"}"#),
            Merge(target: #"{"a":"b"}"#, patch: #"{"b":"c"}"#, result: #"{"a":"b","b":"c"}"#),
            Merge(target: #"{"a":"b"}"#, patch: #"{"a":null}"#, result: "{}"),
            Merge(target: #"{"a":"b","b":"c"}"#, patch: #"{"a":null}"#, result: #"{"b":"c"}"#),
            Merge(target: #"{"a":["b"]}"#, patch: #"{"a":"c"}"#, result: #"{"a":"c"}"#),
            Merge(target: #"{"a":"c"}"#, patch: #"{"a":["b"]}"#, result: #"{"a":["b"]}"#),
            Merge(
                target: #"{"a":{"b":"c"}}"#, patch: #"{"a":{"b":"d","c":null}}"#, result: #"{"a":{"b":"d"}}"#),
            Merge(target: #"{"a":[{"b":"c"}]}"#, patch: #"{"a":[1]}"#, result: #"{"a":[1]}"#),
            Merge(target: #"["a","b"]"#, patch: #"["c","d"]"#, result: #"["c","d"]"#),
            Merge(target: #"{"a":"b"}"#, patch: #"["c"]"#, result: #"["c"]"#),
            Merge(target: #"{"a":"foo"}"#, patch: "null", result: "null"),
            Merge(target: #"{"e":null}"#, patch: #"{"a":1}"#, result: #"{"e":null,"a":1}"#),
            Merge(target: "[1,2]", patch: #"{"a":"b","c":null}"#, result: #"{"a":"b"}"#),
            Merge(target: "{}", patch: #"{"a":{"bb":{"ccc":null}}}"#, result: #"{"a":{"bb":{}}}"#),
        ])
    func merge(_ sample: Merge) throws {
        func value(_ text: String) throws -> PlainValue { try JSONText.value(of: Array(text.utf8)) }
        #expect(try value(sample.target).merged(with: value(sample.patch)) == value(sample.result))
    }
}
