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
    func repeats(_ example: Case) { check(example) }

    @Test(
        "A value that is moved to the place that it had is shown with a value that it has passed",
        arguments: [
            Case("a b c", "c b a", "~ c (from 3 to 1)", "~ b (now before a)"),
            Case("x a b", "b a", "- x", "~ b (from 3 to 1)"), Case("a b", "n b a", "+ n (at 1)", "~ b (now before a)"),
            Case(
                "a b c d e", "d e c a b", "~ d (from 4 to 1)", "~ e (from 5 to 2)", "~ c (now before a)"),
            Case("a b c d e f", "b c a f d e", "~ a (from 1 to 3)", "~ f (from 6 to 4)"),
        ])
    func keepsItsPlace(_ example: Case) { check(example) }

    @Test("No line of any reordered list shows two equal places")
    func anyOrder() {
        var random = SeededNumbers(seed: 3)
        for _ in 0..<2_000 {
            let old = (0..<Int.random(in: 2...8, using: &random)).map { PlainValue.string("v\($0)") }
            let new = old.shuffled(using: &random).dropLast(Int.random(in: 0...1, using: &random))
            for line in ValueText.lines(from: .list(old), to: .list(Array(new))) {
                #expect(!(1...8).contains { line.contains("from \($0) to \($0))") }, "\(old) \(new)")
            }
        }
    }

    private func check(_ example: Case) {
        let lists = [example.old, example.new].map { text in
            PlainValue.list(text.split(separator: " ").map { .string(String($0)) })
        }
        #expect(ValueText.lines(from: lists[0], to: lists[1]) == example.lines)
    }
}
