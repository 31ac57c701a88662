import HTTP1
import Testing

@Suite struct HeadScannerTests {
    @Test("A head ends with its empty line, whatever bytes follow")
    func end() {
        let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".latin1
        #expect(scan(head) == .complete(headBytes: head.count))
        #expect(scan(head + "GET \0\n".latin1) == .complete(headBytes: head.count))
        #expect(scan("\r\n".latin1 + head) == .complete(headBytes: head.count + 2))
        #expect(scan([]) == .incomplete)
        #expect(scan("\r".latin1) == .incomplete)
        #expect(scan("\r\n".latin1) == .incomplete)
    }

    @Test("A response may follow an empty line, and its reason may contain HTAB")
    func response() {
        #expect(scan("\r\nHTTP/1.1 200\r\n\r\n".latin1, with: .response) == .complete(headBytes: 18))
        #expect(scan("\r\n\r\nHTTP/1.1 200\r\n".latin1, with: .response) == .malformed(.badStatusLine))
        #expect(scan("HTTP/1.1 200 a\tb\r\n\r\n".latin1, with: .response) == .complete(headBytes: 20))
        #expect(scan("GET /\ta HTTP/1.1\r\n\r\n".latin1) == .malformed(.controlByte))
    }

    @Test("A forbidden byte is refused before the head is complete", arguments: 0...127)
    func controls(_ byte: UInt8) {
        guard byte < 32 || byte == 127 else { return }
        let fault: HeadFault = byte == 10 ? .bareLF : byte == 13 ? .bareCR : .controlByte
        // The byte is at each place of a word of 16 bytes, and after the last whole word.
        for count in 0..<20 {
            let letters = [UInt8](repeating: 0x61, count: count)
            #expect(scan(letters + [byte, 0x61]) == .malformed(fault))
            #expect(scan(letters + [0xFF, byte, 0x61]) == .malformed(fault))
            let inField = "a\r\n".latin1 + letters + [byte, 0x61]
            #expect(scan(inField) == (byte == 9 ? .incomplete : .malformed(fault)))
        }
    }

    @Test("Printable bytes and bytes beyond ASCII are accepted everywhere in a value")
    func text() {
        let bytes = (32...255).filter { $0 != 127 }.map { UInt8($0) }
        for shift in 0..<9 { #expect(scan(Array(bytes[shift...] + bytes)) == .incomplete) }
    }

    @Test("A head of the maximum size is accepted; a larger one is refused before it is complete")
    func limit() {
        let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".latin1
        for step in [1, 5, .max] {
            let exact = HeadLimits(maxHeadBytes: head.count)
            #expect(scan(head + [0], step: step, exact) == .complete(headBytes: head.count))
            let less = HeadLimits(maxHeadBytes: head.count - 1)
            #expect(scan(head, step: step, less) == .malformed(.headTooLarge))
            let line = HeadLimits(maxHeadBytes: 10)
            #expect(scan(head, step: step, line) == .malformed(.targetTooLong))
            #expect(scan(head, step: step, with: .response, line) == .malformed(.headTooLarge))
        }
    }

    @Test("Scanning byte by byte examines each byte once", .timeLimit(.minutes(1)))
    func linear() {
        // If each call started from the beginning, this would read 5 * 10^11 bytes.
        let limits = HeadLimits(maxHeadBytes: 16 << 20)
        var bytes = [UInt8](repeating: 0x61, count: 1 << 20)
        bytes[9] = 13
        bytes[10] = 10
        #expect(scan(bytes, step: 1, limits) == .incomplete)
    }

    @Test(
        "A head begins with its first byte after any empty line",
        arguments: [
            ("", false), ("\r", false), ("\r\n", false), ("\r\n\r", false), ("G", true), ("\r\nG", true),
            ("G\r", true), ("GET / HTTP/1.1\r\n", true), ("GET / HTTP/1.1\r\n\r", true),
        ])
    func begun(_ text: String, _ hasBegun: Bool) {
        let bytes = Array(text.utf8)
        for step in 1...max(1, bytes.count) {
            var scanner = HeadScanner.request
            for count in stride(from: step, through: bytes.count, by: step) + [bytes.count] {
                #expect(scanner.scan(bytes.span.extracting(first: count), limits: HeadLimits()) == .incomplete)
            }
            #expect(scanner.hasBegun == hasBegun, "\(text.debugDescription) by \(step)")
        }
    }
}
