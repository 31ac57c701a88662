import PKI
import Testing

@Suite("Client hello")
struct ClientHelloTests {
    private static func name(_ bytes: [UInt8]) -> String? {
        ClientHello(serverNameExtension: bytes.span).map { hello in
            String(decoding: (0..<hello.serverNameCount).map { hello[$0] }, as: UTF8.self)
        }
    }

    private static func asksForChallenge(_ bytes: [UInt8]) -> Bool {
        var hello = ClientHello()
        hello.readProtocols(bytes.span)
        return hello.asksForChallenge
    }

    @Test("One server name of up to 255 bytes is read unchanged (RFC 6066 section 3)")
    func names() {
        #expect(Self.name([0, 5, 0, 0, 2] + "aB".utf8) == "aB")
        #expect(
            Self.name([1, 2, 0, 0, 255] + Array(repeating: 0x61, count: 255)) == String(repeating: "a", count: 255))
        #expect(Self.name([1, 3, 0, 1, 0] + Array(repeating: 0x61, count: 256)) == nil)
        #expect(Self.name([]) == "")
    }

    @Test("Neither a prefix of an extension nor an extension with further bytes is read")
    func cut() {
        let whole: [UInt8] = [0, 5, 0, 0, 2, 0x61, 0x62]
        for count in 1..<whole.count { #expect(Self.name(Array(whole[..<count])) == nil) }
        #expect(Self.name(whole + [0]) == nil)
        let protocols: [UInt8] = [0, 11, 10] + "acme-tls/1".utf8
        #expect(Self.asksForChallenge(protocols) && !Self.asksForChallenge(protocols + [0]))
        for count in 0..<protocols.count { #expect(!Self.asksForChallenge(Array(protocols[..<count]))) }
    }

    @Test(
        "A server name that breaks RFC 6066 is refused",
        arguments: [
            [0, 3, 0, 0, 0], [0, 5, 1, 0, 2, 0x61, 0x62], [0, 6, 0, 0, 2, 0x61, 0x62], [0, 5, 0, 0, 3, 0x61, 0x62],
            [0, 10, 0, 0, 2, 0x61, 0x62, 0, 0, 2, 0x61, 0x62],
        ] as [[UInt8]])
    func malformed(_ bytes: [UInt8]) {
        #expect(Self.name(bytes) == nil)
    }

    @Test("Only a client that offers just acme-tls/1 asks for a challenge (RFC 8737 section 3)")
    func challenge() {
        #expect(!Self.asksForChallenge([0, 9, 8] + "http/1.1".utf8))
        #expect(!Self.asksForChallenge([0, 11, 10] + "ACME-TLS/1".utf8))
        #expect(!Self.asksForChallenge([0, 14, 10] + "acme-tls/1".utf8 + [2] + "h2".utf8))
    }
}
