import Testing

@testable import Gateway

struct BytesTests {
    @Test(
        "List items are trimmed, and empty items are skipped",
        arguments: [
            ("", []), (",", []), (" , ,\t", []), ("a", ["a"]), ("a,b", ["a", "b"]), (" a b\t, ,c ,", ["a b", "c"]),
        ])
    func listItems(_ text: String, _ items: [String]) {
        #expect(text.lendingBytes { $0.listItems.map(\.text) } == items)
    }

    @Test(
        "Comparison ignores the case of ASCII letters, and of no other characters",
        arguments: [
            ("", "", true), ("WebSocket", "wEBsOCKET", true), ("a", "b", false), ("a", "aa", false), ("[", "{", false),
            ("@", "`", false), ("ä", "Ä", false),
        ])
    func equalsIgnoringCase(_ one: String, _ other: String, _ isEqual: Bool) {
        #expect(one.lendingBytes { one in other.lendingBytes { one.equalsIgnoringCase($0) } } == isEqual)
    }
}
