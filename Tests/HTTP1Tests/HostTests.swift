import HTTP1
import Testing

@Suite struct HostTests {
    @Test(
        "A host is read without its port and trailing dot",
        arguments: [
            ("app.test", "app.test", nil), ("App.Test.", "App.Test", nil), ("app.test:", "app.test", nil),
            ("app.test.:443", "app.test", 443), ("a:1", "a", 1), ("a:65535", "a", 65535), ("a:00080", "a", 80),
            ("a:00000000000000000000443", "a", 443),
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
        "An invalid host is refused, in Host and in the target",
        arguments: [
            "[", "]", "[]", "[:]", "[:::]", "[1:]", "[:1]", "[1::2::3]", "[1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7:8:9]",
            "[1:2:3:4:5:6:7:8::]", "[::1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7:1.2.3.4]", "[1:2:3:4:5:1.2.3.4]",
            "[1.2.3.4]", "[::1.2.3]", "[::1.2.3.4:5]", "[::1.2.3.4.5]", "[::1]1", "[::1].", "[::1]::1", "[::1%1]",
            "[::1%251]", "[v.a]", "[v1]", "[v1.]", "[1.a]", "[vg.a]", "[v1.a@b]", "[v1.a%41]", "[v1.[a]", "[v1.a]b",
            "v1.a]",
            "a.:0", "a:1:", "a:-1", "a:99999", "a:65536", "a:18446744073709551617", "a:1a", ":1", "a b", "a%", "a%4",
            "a%4g",
            "a%%41", "%:1", "a@b", "a@", "@a", "a\\b", "a\"", "a<b", "a`", "{a}", "a|b", "a^b", "a[1]", "a\u{7F}",
            "a\u{E9}",
        ])
    func invalid(_ text: String) {
        #expect(readRequest("GET / HTTP/1.1\r\nHost: \(text)\r\n\r\n").fault?.status == 400)
        #expect(readRequest("GET http://\(text)/ HTTP/1.0\r\n\r\n").fault?.status == 400)
    }

    @Test(
        "A reg-name that is no host name reads as no host, and its port is read (RFC 3986 section 3.2.2)",
        arguments: [
            "a%41", "%61", "a%2Eb", "a%00", "a,b", "a;b", "(a)", "a~b", "*.a", "a!$&'()*+,;=~", "a..b", ".", "..", ".a",
            "a..",
            "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "1..2.3", "0", "a.1", "[v1.a]", "[V1F.a:b,c~]",
            String(repeating: "abc.", count: 63) + "ab",
        ])
    func noHost(_ text: String) throws {
        for port in ["", ":", ":81"] {
            let head = try #require(readRequest("GET / HTTP/1.1\r\nHost: \(text)\(port)\r\n\r\n").head)
            #expect(head.host == "" && head.port == (port == ":81" ? 81 : nil))
            let absolute = try #require(readRequest("GET http://\(text)\(port)/ HTTP/1.1\r\nHost: a\r\n\r\n").head)
            #expect(absolute.host == "" && absolute.path == "/")
        }
    }

    @Test("An absolute target takes precedence over Host; HTTP/1.0 needs no Host (RFC 9112 section 3.2.2)")
    func absolute() {
        #expect(readRequest("GET / HTTP/1.0\r\n\r\n").head?.host == "")
        #expect(readRequest("GET HTTPS://b:1/x HTTP/1.0\r\n\r\n").head?.host == "b")
        func read(_ target: String, _ host: String) -> String? {
            readRequest("GET \(target) HTTP/1.1\r\nHost: \(host)\r\n\r\n").head.map { "\($0.host)|\($0.port ?? 0)" }
        }
        #expect(read("http://a", "b") == "a|0")
        #expect(read("http://a:1", "b:2") == "a|1")
        #expect(read("https://a", "a:80") == "a|0")
        #expect(read("http://[::A]:7", "b") == "[::A]|7")
        #expect(read("http://a", "b,c") == "a|0")
        // There must be exactly one Host field, even with an absolute target.
        #expect(read("http://a", "b@c") == nil)
        #expect(read("http://a", "") == nil)
        #expect(read("http://a", "a\r\nHost: a") == nil)
        #expect(readRequest("GET http://a HTTP/1.1\r\n\r\n").fault == .missingHost)
    }

    @Test("A host name has at most 253 bytes")
    func length() {
        let longest = String(repeating: "abc.", count: 63) + "a"
        #expect(readRequest("GET / HTTP/1.1\r\nHost: \(longest).\r\n\r\n").head?.host == longest)
        #expect(readRequest("GET / HTTP/1.1\r\nHost: \(longest)b\r\n\r\n").head?.host == "")
    }
}
