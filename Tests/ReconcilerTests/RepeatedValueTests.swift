import ConfigModel
import Testing

@testable import Reconciler

/// A list may have the same value several times. What a plan shows of it must not read as if the value came or went.
@Suite struct RepeatedValueTests {
    struct Case: Sendable {
        let old: String
        let new: String
        let lines: [String]

        init(_ old: String, _ new: String, _ lines: String...) { (self.old, self.new, self.lines) = (old, new, lines) }
    }

    @Test(
        "A value that is repeated less or more often is shown as that",
        arguments: [
            Case("a a b", "a b", "- a (one of 2)"), Case("a b a a", "a b", "- a (one of 3)", "- a (one of 3)"),
            Case("a a b", "b", "- a", "- a"), Case("a b", "a b a", "+ a (again)"),
            Case("a b", "a a b", "+ a (again, at 2)"), Case("a a", "b a", "- a (one of 2)", "+ b (at 1)"),
            Case("a a b", "b a", "- a (one of 2)", "~ b (from 3 to 1)"),
        ])
    func repeats(_ example: Case) {
        let lists = [example.old, example.new].map { text in
            PlainValue.list(text.split(separator: " ").map { .string(String($0)) })
        }
        #expect(ValueText.lines(from: lists[0], to: lists[1]) == example.lines)
    }
}
