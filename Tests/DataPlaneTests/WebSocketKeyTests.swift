import Testing

@testable import Gateway

@Suite("Keys of WebSockets") struct WebSocketKeyTests {
    @Test("A key is accepted by the value of RFC 6455's example")
    func example() {
        let accepted = WebSocketKey.accepted(Array("dGhlIHNhbXBsZSBub25jZQ==".utf8))
        #expect(accepted == Array("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".utf8))
    }

    @Test("Each request has a key of its own, 16 bytes in base64")
    func keys() {
        var ids = RequestIDSource()
        let (one, other) = (ids.next(), ids.next())
        #expect(WebSocketKey(one).text.count == 24 && WebSocketKey(one).text == WebSocketKey(one).text)
        #expect(WebSocketKey(one).text != WebSocketKey(other).text)
    }
}
