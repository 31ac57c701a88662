import Testing

@testable import Gateway

struct OpenChunkTests {
    /// The bytes that are written for these pieces of a body, after a head.
    private static func written(_ pieces: [String]) -> String {
        let scratch = Scratch(capacity: 1 << 20)
        var chunk = OpenChunk()
        scratch.append("head")
        for piece in pieces { piece.lendingBytes { chunk.append($0, to: scratch) } }
        chunk.close(in: scratch)
        // The chunk is closed, so closing again writes nothing.
        chunk.close(in: scratch)
        return scratch.bytes.text
    }

    @Test(
        "The pieces of one read become one chunk, even if its size needs another digit",
        arguments: [
            ([], ""), (["a"], "1\r\na\r\n"), (["a", "bc"], "3\r\nabc\r\n"),
            (["a", String(repeating: "b", count: 14)], "f\r\na" + String(repeating: "b", count: 14) + "\r\n"),
            (["a", String(repeating: "b", count: 15)], "10\r\na" + String(repeating: "b", count: 15) + "\r\n"),
            ([String](repeating: "x", count: 70_000), "11170\r\n" + String(repeating: "x", count: 70_000) + "\r\n"),
        ])
    func chunks(_ pieces: [String], _ expected: String) {
        #expect(Self.written(pieces) == "head" + expected)
    }
}
