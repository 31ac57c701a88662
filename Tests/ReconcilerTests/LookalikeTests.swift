import ConfigModel
import Foundation
import Testing

@testable import Reconciler

/// Letters of other scripts that look like Latin ones. The text of a plan shows their code points.
@Suite struct LookalikeTests {
    struct Case: Sendable {
        let before: PlainValue
        let after: PlainValue
        let lines: [String]

        init(_ before: PlainValue, _ after: PlainValue, _ lines: String...) {
            (self.before, self.after, self.lines) = (before, after, lines)
        }
    }

    @Test(
        "Two texts that look the same are shown differently",
        arguments: [
            Case("shop.pem", "ѕhop.pem", "shop.pem → ѕhop.pem (\\u{0455}hop.pem)"),
            Case("coco", "сосо", "coco → сосо (\\u{0441}\\u{043E}\\u{0441}\\u{043E})"),
            Case("Αlpha", "Alpha", "Αlpha (\\u{0391}lpha) → Alpha"),
            Case("a.pem", "b.pem", "a.pem → b.pem"),
            // One script alone, accents, and signs that are not letters mislead nobody, so no code points are shown.
            Case("привет", "пока", "привет → пока"), Case("grün", "grun", "grün → grun"),
            Case("a €", "b €", "a € → b €"),
            Case(.null, "пока", "(none) → пока"), Case(.null, "pокa", "(none) → pокa (p\\u{043E}\\u{043A}a)"),
            Case(
                .list(["a.pem", "x"]), .list(["а.pem", "x"]), "- \"a.pem\"", "+ \"\\u{0430}.pem\" (at 1)"),
            Case(.list(["a", "x"]), .list(["b", "x"]), "- a", "+ b (at 1)"),
            // Invisible characters, and characters that look like a space.
            Case("a b", "a\u{2800}b", "a b → \"a\\u{2800}b\""),
            Case("ab", "a\u{1D159}b", "ab → \"a\\u{0001D159}b\""), Case("ab", "a\u{FE0F}b", "ab → \"a\\u{FE0F}b\""),
            Case("ab", "a\u{13441}b", "ab → \"a\\u{00013441}b\""), Case("ab", "a\u{3164}b", "ab → \"a\\u{3164}b\""),
            Case("a", "\u{301}a", "a → \"\\u{0301}a\""),
            // The same letter in two Unicode forms, alone and beside another difference.
            Case("caf\u{E9}", "cafe\u{301}", "\"caf\\u{00E9}\" → \"cafe\\u{0301}\""),
            Case(
                "caf\u{E9} a", "cafe\u{301}\u{2800}a",
                "café a → \"cafe\u{301}\\u{2800}a\" (\"cafe\\u{0301}\\u{2800}a\")"),
            Case("\u{212B}", "\u{C5}", "\"\\u{212B}\" → \"\\u{00C5}\""),
            Case("a;b", "a\u{37E}b", "\"a;b\" → \"a\\u{037E}b\""),
            // Signs that look like ASCII signs.
            Case("a-b", "a\u{2010}b", "a-b → a\u{2010}b (a\\u{2010}b)"),
            Case("1/2", "1\u{2044}2", "1/2 → 1\u{2044}2 (1\\u{2044}2)"),
            Case("it's", "it\u{2019}s", "it's → it\u{2019}s (it\\u{2019}s)"),
            Case("a – b", "a – c", "a – b → a – c"),
            Case(.list(["a-b", "x"]), .list(["a\u{2010}b", "x"]), "- \"a-b\"", "+ \"a\\u{2010}b\" (at 1)"),
        ])
    func sides(_ example: Case) {
        #expect(ValueText.lines(from: example.before, to: example.after) == example.lines)
    }

    @Test("A new value that mixes scripts is shown with escapes")
    func whole() {
        #expect(ValueText.whole("pаypal") == "pаypal (p\\u{0430}ypal)")
        #expect(ValueText.whole("paypal") == "paypal")
        #expect(ValueText.whole("привет") == "привет")
        #expect(ValueText.whole("a – b") == "a – b")
    }

    @Test("No two texts that differ by one Unicode scalar are shown the same")
    func anyScalar() {
        // Letters of other scripts are escaped if the text also has Latin ones. Emoji and symbols look like themselves.
        let blocks: [ClosedRange<UInt32>] = [
            0...0x3FF, 0x1680...0x1680, 0x17B0...0x17B9, 0x1800...0x180F, 0x2000...0x33FF, 0xFE00...0xFE6F,
            0xFF00...0xFFFF, 0x13430...0x1345F, 0x1D100...0x1D1FF, 0xE0000...0xE01FF,
        ]
        for scalar in blocks.joined().compactMap(Unicode.Scalar.init) {
            let value = scalar.value
            let shown = ValueText.lines(from: "a b", to: .string("a\(scalar)b"))
            guard scalar != " " else { continue }
            let sides = shown.joined().components(separatedBy: " → ")
            #expect(sides.count == 2 && sides[0] != sides[1], "\(value)")
            let isBlank = scalar.properties.isWhitespace || scalar.properties.isDefaultIgnorableCodePoint
            if isBlank { #expect(shown.joined().allSatisfy { $0.isASCII || $0 == "→" }, "\(value)") }
        }
    }
}

extension PlainValue: ExpressibleByStringLiteral {
    /// Lets tests write a text value as a string literal.
    public init(stringLiteral value: String) { self = .string(value) }
}
