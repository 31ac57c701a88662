import Testing

@testable import DNS

@Suite struct AnswerTests {
    /// Answers of a real name server.
    private func answers() throws -> [[UInt8]] {
        let server = try NameServer.shared.get()
        let exchange = DNSExchange(server: server.knot, timeout: .seconds(20))
        let questions: [(String, DNSRecordType)] = [
            ("open.test", .caa), ("alias.open.test", .aaaa), ("text.open.test", .txt), ("open.test", .soa),
        ]
        var answers = try questions.map { name, type in
            let message = DNSMessage.question(try DNSName(name), type)
            return try exchange.send(message, message.bytes).1
        }
        let update = try DNSMessage.update(
            zone: DNSName("signed.test"), name: DNSName("a.signed.test"), txt: "x", timeToLive: nil)
        let signature = TSIG(key: try NameServer.key("hmac-sha512", .sha512))
        answers.append(try exchange.send(update, signature.signed(update.bytes, now: 1).bytes).1)
        return answers
    }

    @Test("No prefix of an answer is accepted")
    func prefixes() throws {
        for answer in try answers() {
            #expect(DNSAnswer(answer) != nil)
            for count in answer.indices { #expect(DNSAnswer(Array(answer[..<count])) == nil) }
        }
    }

    @Test("No change of a byte of an answer causes a trap")
    func mutations() throws {
        for answer in try answers() {
            for index in answer.indices {
                for change: UInt8 in [0x01, 0x3F, 0x80, 0xC0, 0xFF] {
                    var changed = answer
                    changed[index] ^= change
                    guard let read = DNSAnswer(changed) else { continue }
                    _ = read.canonicalName(of: "alias.open.test")
                    _ = TSIG.error(of: read)
                    let key = try NameServer.key("hmac-sha512", .sha512)
                    #expect(throws: TSIG.Fault.self) { try TSIG(key: key).check(read, in: changed, to: [], now: 1) }
                }
            }
        }
    }

    @Test("A name with a compression loop, or with a pointer outside the message, is malformed")
    func pointers() {
        let header: [UInt8] = [0, 1, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        for name: [UInt8] in [[0xC0, 12], [0xC0, 14, 0xC0, 12], [0xFF, 0xFF], [63, 97], [1, 97, 0xC0, 12]] {
            #expect(DNSAnswer(header + name + [0, 16, 0, 1]) == nil)
        }
        #expect(DNSAnswer(header + [1, 97, 0, 0, 16, 0, 1])?.question?.owner == "a")
    }

    @Test("Unusual bytes of a name are shown as numbers")
    func names() {
        #expect(DNSName.text(ofWire: [3, 97, 46, 98, 2, 0xE4, 0, 1, 65, 0]) == "a\\046b.\\228\\000.a")
        #expect(DNSName.text(ofWire: [0]) == "" && DNSName.text(ofWire: [9, 97]) == "a")
    }
}
