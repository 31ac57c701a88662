import HTTP1
import Testing

@Suite struct HostTests {
    @Test(
        "A host is read without port and trailing dot",
        arguments: [
            ("app.test", "app.test", nil), ("App.Test.", "App.Test", nil), ("app.test:", "app.test", nil),
            ("app.test.:443", "app.test", 443), ("a:1", "a", 1), ("a:65535", "a", 65535), ("a:00080", "a", 80),
            ("under_score-d.test", "under_score-d.test", nil), ("1.2.3.4", "1.2.3.4", nil),
            ("255.255.255.255:1", "255.255.255.255", 1), ("0.0.0.0", "0.0.0.0", nil), ("1.2.3.4.", "1.2.3.4", nil),
            ("1.2.3.4a", "1.2.3.4a", nil), ("1a", "1a", nil), ("[::]", "[::]", nil), ("[::1]:80", "[::1]", 80),
            ("[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7:8]", nil), ("[1::]", "[1::]", nil),
            ("[1:2:3:4:5:6:7::]", "[1:2:3:4:5:6:7::]", nil), ("[::2:3:4:5:6:7:8]", "[::2:3:4:5:6:7:8]", nil),
            ("[fe80::abCD:1.2.3.4]", "[fe80::abCD:1.2.3.4]", nil), ("[::1.2.3.4]", "[::1.2.3.4]", nil),
            ("[1:2:3:4:5:6:1.2.3.4]:1", "[1:2:3:4:5:6:1.2.3.4]", 1),
        ] as [(String, String, UInt16?)])
    func valid(_ text: String, _ host: String, _ port: UInt16?) throws {
        let head = try #require(readRequest("GET / HTTP/1.1\r\nHost: \(text)\r\n\r\n").head)
        #expect(head.host == host && head.port == port)
        let absolute = try #require(readRequest("GET http://\(text)/ HTTP/1.0\r\n\r\n").head)
        #expect(absolute.host == host && absolute.port == port)
    }

    @Test(
        "What is no host is refused, in Host and in the target",
        arguments: [
            "[", "]", "[]", "[:]", "[:::]", "[1:]", "[:1]", "[1::2::3]", "[1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7:8:9]",
            "[1:2:3:4:5:6:7:8::]", "[::1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7:1.2.3.4]", "[1:2:3:4:5:1.2.3.4]",
            "[1.2.3.4]", "[::1.2.3]", "[::1.2.3.4:5]", "[::1.2.3.4.5]", "[::1]1", "[::1].", "[::1]::1", "[::1%1]",
            "a..b", ".", "..", "a.:0", "a:1:", "a:-1", "a:99999", "a:1a", "1.2.3", "1.2.3.4.5", "01.2.3.4",
            "1.2.3.256", "1..2.3", "0", "a.1", "a b", "a%41", "a@b", "a,b", "a\u{7F}", "a\u{E9}", "(a)",
        ])
    func invalid(_ text: String) {
        #expect(readRequest("GET / HTTP/1.1\r\nHost: \(text)\r\n\r\n").fault?.status == 400)
        #expect(readRequest("GET http://\(text)/ HTTP/1.0\r\n\r\n").fault?.status == 400)
    }

    @Test("HTTP/1.0 needs no Host; an absolute target names one, and must agree with Host")
    func absolute() {
        #expect(readRequest("GET / HTTP/1.0\r\n\r\n").head?.host == "")
        #expect(readRequest("GET HTTPS://b:1/x HTTP/1.0\r\n\r\n").head?.host == "b")
        func fault(_ target: String, _ host: String) -> HeadFault? {
            readRequest("GET \(target) HTTP/1.1\r\nHost: \(host)\r\n\r\n").fault
        }
        #expect(fault("http://a", "A.:80") == nil)
        #expect(fault("https://a:443", "a") == nil)
        #expect(fault("https://a", "a:443") == nil)
        #expect(fault("https://a", "a:80") == .hostMismatch)
        #expect(fault("http://a", "b") == .hostMismatch)
        #expect(fault("http://[::A]", "[::a]") == nil)
    }

    @Test("A name has up to 253 bytes")
    func length() {
        let longest = String(repeating: "abc.", count: 63) + "a"
        #expect(readRequest("GET / HTTP/1.1\r\nHost: \(longest).\r\n\r\n").head?.host == longest)
        #expect(readRequest("GET / HTTP/1.1\r\nHost: \(longest)b\r\n\r\n").fault == .badHost)
    }
}
