import ConfigModel
import Testing

@testable import Gateway

/// Which address counts as the client when trusted proxies name others.
@Suite("Client trace") struct ClientTraceTests {
    /// The lines of a field in their order, and the client that they name.
    struct Case: CustomTestStringConvertible {
        let lines: [String]
        let client: String
        var testDescription: String { "\(lines) → \(client)" }

        init(_ lines: String..., client: String) { (self.lines, self.client) = (lines, client) }
    }

    static let peer = "10.0.0.1"
    private static let trusted = ["10.0.0.0/8", "192.0.2.0/24", "2001:db8:1::/48"].compactMap(Self.block)

    private static func block(_ text: String) -> NetworkBlock? {
        GatewaySettings(record: Array("{\"trusted_proxies\":[\"\(text)\"]}".utf8))?.trustedProxies.first
    }

    static func address(_ text: String) -> PeerAddress? { text.lendingBytes { PeerAddress(node: $0) } }

    private static func text(_ address: PeerAddress) -> String {
        let output = Scratch(capacity: 64)
        address.write(to: output)
        return output.bytes.text
    }

    private static func client(_ lines: [String], _ field: ClientAddressField) -> String? {
        guard let peer = address(peer) else { return nil }
        var trace = ClientTrace(from: peer, by: field, trusting: trusted)
        for line in lines.reversed() where !trace.isDone { line.lendingBytes { trace.follow($0) } }
        return text(trace.client)
    }

    @Test(
        "The client is the right-most address of X-Forwarded-For that is not a trusted proxy's",
        arguments: [
            Case("8.8.8.8", client: "8.8.8.8"),
            Case("1.1.1.1, 8.8.8.8", client: "8.8.8.8"),
            Case("1.1.1.1,8.8.8.8 ,\t10.0.0.2", client: "8.8.8.8"),
            Case("1.1.1.1", "8.8.8.8, 192.0.2.7", "10.9.9.9", client: "8.8.8.8"),
            Case("2001:db8::1", client: "2001:db8::1"),
            Case("[2001:DB8:0::1]:443, 2001:db8:1::5", client: "2001:db8::1"),
            Case("8.8.8.8:51234", client: "8.8.8.8"),
            Case("::ffff:8.8.8.8", client: "8.8.8.8"),
            Case("::ffff:10.0.0.9", client: "10.0.0.9"),
            Case(", ,8.8.8.8,,", client: "8.8.8.8"),
            // All proxies are trusted, so the farthest address is the client.
            Case("10.0.0.3, 10.0.0.2", client: "10.0.0.3"),
            // The field has no address.
            Case(client: peer), Case("", client: peer), Case(" , ,", client: peer),
        ])
    func forwardedFor(_ given: Case) { #expect(Self.client(given.lines, .xForwardedFor) == given.client) }

    @Test(
        "If a step names no address, the last known address counts",
        arguments: [
            Case("8.8.8.8, unknown", client: peer),
            Case("8.8.8.8, unknown, 10.0.0.2", client: "10.0.0.2"),
            Case("8.8.8.8, app.test", client: peer), Case("8.8.8", client: peer), Case("08.8.8.8", client: peer),
            Case("8.8.8.8:", client: peer), Case("8.8.8.8:1234567", client: peer), Case("8.8.8.8:a", client: peer),
            Case("8.8.8.8 1.1.1.1", client: peer), Case("[8.8.8.8]", client: peer), Case("[::1", client: peer),
            Case("[::1]x", client: peer), Case("fe80::1%eth0", client: peer), Case("\"8.8.8.8\"", client: peer),
            Case("8.8.8.8\0", client: peer), Case("1:2:3:4:5:6:7:8:9", client: peer),
            Case(String(repeating: "1", count: 5000), client: peer),
            // A stranger's text on the left can't hide what a proxy has added on the right.
            Case("\"1.1.1.1, 8.8.8.8", client: "8.8.8.8"),
        ])
    func failing(_ given: Case) { #expect(Self.client(given.lines, .xForwardedFor) == given.client) }

    @Test(
        "Forwarded is read by RFC 7239",
        arguments: [
            Case("for=8.8.8.8", client: "8.8.8.8"),
            Case("For=\"[2001:db8:cafe::17]:4711\"", client: "2001:db8:cafe::17"),
            Case("for=192.0.2.60;proto=http;by=203.0.113.43", client: "192.0.2.60"),
            Case("for=1.1.1.1, for=8.8.8.8;host=\"a, b;for=9.9.9.9\" ; proto=https", client: "8.8.8.8"),
            Case("host=\"a\\\"b,\";for=8.8.8.8, for=10.0.0.2", client: "8.8.8.8"),
            Case("for=1.1.1.1", "for=\"8.8.8.8:80\"", "FOR=10.0.0.7", client: "8.8.8.8"),
            Case(";for=8.8.8.8;;", client: "8.8.8.8"), Case("for=8.8.8.8:_port", client: "8.8.8.8"),
            Case("for=\"[::1]:_a.b\"", client: "::1"),
            // The address has brackets or colons but no quotation marks.
            Case("for=[2001:db8::2]:443", client: "2001:db8::2"), Case("for=2001:db8::2", client: "2001:db8::2"),
            // The element has no address.
            Case("for=8.8.8.8, for=unknown", client: peer), Case("for=8.8.8.8, for=_hidden", client: peer),
            Case("for=8.8.8.8, for=_hidden, for=10.0.0.2", client: "10.0.0.2"), Case("proto=https", client: peer),
            Case("for=8.8.8.8;for=1.1.1.1", client: peer), Case("8.8.8.8", client: peer), Case("for=", client: peer),
            Case("for", client: peer), Case("=8.8.8.8", client: peer), Case("for=8.8.8.8 by", client: peer),
            Case("for= 8.8.8.8", client: peer), Case("for=\"8.8.8.8", client: peer),
            Case("for=\"8.8.8.8\\\"", client: peer),
            // A stranger's unclosed quotation mark hides nothing.
            Case("for=\"1.1.1.1, for=8.8.8.8", client: "8.8.8.8"),
            Case("for=1.1.1.1;host=\"\\", "for=8.8.8.8, for=\"10.0.0.2\"", client: "8.8.8.8"),
        ])
    func forwarded(_ given: Case) { #expect(Self.client(given.lines, .forwarded) == given.client) }

    @Test(
        "CF-Connecting-IP and X-Real-IP count only as exactly one address",
        arguments: [
            Case("8.8.8.8", client: "8.8.8.8"), Case("2001:db8::1", client: "2001:db8::1"),
            Case("10.0.0.8", client: "10.0.0.8"), Case("8.8.8.8, 1.1.1.1", client: peer), Case("", client: peer),
        ])
    func single(_ given: Case) throws {
        var trace = ClientTrace(
            from: try #require(Self.address(Self.peer)), by: .cfConnectingIP, trusting: Self.trusted)
        given.lines[0].lendingBytes { trace.read($0) }
        #expect(Self.text(trace.client) == given.client)
        #expect(trace.isDone)
    }

    @Test("A long chain of trusted proxies is followed only up to a limit")
    func bounded() {
        let list = (0..<1000).map { "10.1.\($0 / 250).\($0 % 250)" }
        let last = list[1000 - ClientTrace.mostProxies]
        #expect(Self.client([list.joined(separator: ",")], .xForwardedFor) == last)
        #expect(Self.client(list, .xForwardedFor) == last)
        #expect(Self.client([list.map { "for=\($0)" }.joined(separator: ", ")], .forwarded) == last)
    }

    @Test("No bytes cause a trap", arguments: [ClientAddressField.xForwardedFor, .forwarded])
    func robust(_ field: ClientAddressField) {
        var generator = SplitMix(state: 11)
        let alphabet = Array("for=1.8,;:[]\"\\ \tab_-".utf8)
        for _ in 0..<20_000 {
            let bytes = (0..<Int(generator.next() % 40)).map { _ in
                alphabet[Int(generator.next() % UInt64(alphabet.count))]
            }
            #expect(Self.client([String(decoding: bytes, as: UTF8.self)], field) != nil)
        }
    }
}
