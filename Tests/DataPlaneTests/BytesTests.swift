import Testing

@testable import Gateway

struct BytesTests {
    @Test(
        "The items of a list have no blanks around them, and empty ones are none",
        arguments: [
            ("", []), (",", []), (" , ,\t", []), ("a", ["a"]), ("a,b", ["a", "b"]), (" a b\t, ,c ,", ["a b", "c"]),
        ])
    func listItems(_ text: String, _ items: [String]) {
        #expect(text.lendingBytes { $0.listItems.map(\.text) } == items)
    }

    @Test(
        "The case of ASCII letters is nothing that tells two texts apart, and nothing else's is",
        arguments: [
            ("", "", true), ("WebSocket", "wEBsOCKET", true), ("a", "b", false), ("a", "aa", false), ("[", "{", false),
            ("@", "`", false), ("ä", "Ä", false),
        ])
    func equalsIgnoringCase(_ one: String, _ other: String, _ isEqual: Bool) {
        #expect(one.lendingBytes { one in other.lendingBytes { one.equalsIgnoringCase($0) } } == isEqual)
    }
}
