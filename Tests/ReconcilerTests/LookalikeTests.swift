import ConfigModel
import Testing

@testable import Reconciler

/// Letters of other scripts that look like Latin ones: a plan's text spells them out.
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
        "Two sides that print alike are told apart",
        arguments: [
            Case("shop.pem", "ѕhop.pem", "shop.pem → ѕhop.pem (\\u{0455}hop.pem)"),
            Case("coco", "сосо", "coco → сосо (\\u{0441}\\u{043E}\\u{0441}\\u{043E})"),
            Case("Αlpha", "Alpha", "Αlpha (\\u{0391}lpha) → Alpha"),
            Case("a.pem", "b.pem", "a.pem → b.pem"),
            // One script alone, accents, and signs that are no letters mislead nobody.
            Case("привет", "пока", "привет → пока"), Case("grün", "grun", "grün → grun"),
            Case("a €", "b €", "a € → b €"),
            Case(.null, "пока", "(none) → пока"), Case(.null, "pокa", "(none) → pокa (p\\u{043E}\\u{043A}a)"),
            Case(
                .list(["a.pem", "x"]), .list(["а.pem", "x"]), "- \"a.pem\"", "+ \"\\u{0430}.pem\" (at 1)"),
            Case(.list(["a", "x"]), .list(["b", "x"]), "- a", "+ b (at 1)"),
        ])
    func sides(_ example: Case) {
        #expect(ValueText.lines(from: example.before, to: example.after) == example.lines)
    }

    @Test("A new value that mixes scripts is spelled out")
    func whole() {
        #expect(ValueText.whole("pаypal") == "pаypal (p\\u{0430}ypal)")
        #expect(ValueText.whole("paypal") == "paypal")
        #expect(ValueText.whole("привет") == "привет")
    }
}

extension PlainValue: ExpressibleByStringLiteral {
    /// A text.
    public init(stringLiteral value: String) { self = .string(value) }
}
