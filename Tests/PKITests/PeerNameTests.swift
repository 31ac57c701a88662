import PKI
import PeerNames
import Testing

/// Which names in a certificate identify a peer.
@Suite struct PeerNameTests {
    @Test(
        "A pattern matches one name, or the names that its wildcard allows",
        arguments: [
            ("app.test", "app.test", true), ("App.Test", "aPP.tEST", true), ("app.test", "app.test.org", false),
            ("app.test", "xapp.test", false), ("*.app.test", "a.app.test", true), ("*.app.test", "app.test", false),
            ("*.app.test", "a.b.app.test", false), ("*.app.test", "a.xapp.test", false), ("*.test", "app.test", true),
            ("a.app.test", "b.app.test", false), ("a_b-1.test", "A_B-1.test", true),
            ("xn--bcher-kva.test", "bucher.test", false),
        ])
    func hostNames(text: String, name: String, isMeant: Bool) throws {
        let pattern = try #require(PeerNamePattern(hostName: text))
        let name = try #require(PeerName(hostName: Array(name.utf8)))
        #expect(pattern.matches(name) == isMeant)
        // The same text as another kind of name does not match.
        #expect(
            !pattern.matches(.uri(name.text)) && !pattern.matches(.email(name.text)) && !pattern.matches(.ip(name.text))
        )
    }

    @Test(
        "Bytes that are not a host name are not a peer's name",
        arguments: [
            "", ".", "a.", ".a", "a..b", "*", "*.app.test", "a*.test", "a.*.test", "app.test\0", "app.test\0.org",
            "a b", "a/b",
            "ä.test", "a,b", "a:80", String(repeating: "a", count: 64), String(repeating: "a.", count: 126) + "aa",
        ])
    func noHostName(text: String) { #expect(PeerName(hostName: Array(text.utf8)) == nil) }

    @Test(
        "In a URI an asterisk matches one segment of the path",
        arguments: [
            ("spiffe://example.com/ns/*/sa/web", "spiffe://example.com/ns/prod/sa/web", true),
            ("spiffe://example.com/ns/*/sa/web", "SPIFFE://EXAMPLE.com/ns/prod/sa/web", true),
            ("spiffe://example.com/ns/*/sa/web", "spiffe://example.com/ns/prod/sa/Web", false),
            ("spiffe://example.com/ns/*/sa/web", "spiffe://example.com/ns/a/b/sa/web", false),
            ("spiffe://example.com/ns/*/sa/web", "spiffe://example.com/ns/sa/web", false),
            ("spiffe://example.com/ns/*/sa/web", "spiffe://example.org/ns/prod/sa/web", false),
            ("spiffe://example.com/ns/*/sa/web", "https://example.com/ns/prod/sa/web", false),
            ("spiffe://example.com/ns/*/sa/web", "spiffe://example.com/ns/prod/sa/web/more", false),
            ("spiffe://example.com/*", "spiffe://example.com/one", true),
            ("spiffe://example.com/*", "spiffe://example.com", false),
            ("spiffe://example.com", "spiffe://example.com", true),
            ("https://a.test:8443/x", "https://a.test:8443/x", true),
            ("https://a.test/%2a", "https://a.test/*", false), ("https://a.test/*", "https://a.test/%2F", true),
        ])
    func uris(text: String, name: String, isMeant: Bool) throws {
        let pattern = try #require(PeerNamePattern(uri: text))
        #expect(pattern.matches(try #require(PeerName(uri: Array(name.utf8)))) == isMeant)
    }

    @Test(
        "Bytes that are not a URI with an authority are not a peer's name",
        arguments: [
            "", "spiffe:", "spiffe://", "spiffe:///a", "://a", "1x://a", "urn:a:b", "spiffe://user@a/b",
            "spiffe://a//b", "spiffe://a/",
            "spiffe://a/b/", "spiffe://a/./b", "spiffe://a/../b", "spiffe://a/b?c", "spiffe://a/b#c", "spiffe://a/b c",
            "spiffe://a/b\0", "spiffe://ä/b", "spiffe://[::1]/b", "spiffe://a/" + String(repeating: "b", count: 2048),
        ])
    func noURI(text: String) { #expect(PeerName(uri: Array(text.utf8)) == nil) }

    @Test("An IP address or e-mail address pattern matches exactly that name")
    func others() throws {
        let v6 = try #require(PeerNamePattern(address: "2001:DB8::1"))
        #expect(
            v6.matches(
                try #require(PeerName(address: [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]))))
        let v4 = try #require(PeerNamePattern(address: "10.0.0.5"))
        #expect(v4.matches(.ip("10.0.0.5")) && !v4.matches(.ip("10.0.0.6")) && !v4.matches(.dns("10.0.0.5")))
        #expect(PeerName(address: [1, 2, 3]) == nil && PeerNamePattern(address: "10.0.0") == nil)
        let mail = try #require(PeerNamePattern(email: "Ops@Example.com"))
        let names = ["Ops@example.COM", "ops@example.com", "Ops@example.org"].map { PeerName(email: Array($0.utf8)) }
        #expect(names.map { $0.map(mail.matches) } == [true, false, false])
        for text in ["", "@a", "a@", "a@b@c", "a b@c", "a@b\0", "\"a\"@b", "a@*.b"] {
            #expect(PeerName(email: Array(text.utf8)) == nil, "\(text)")
        }
    }

    @Test(
        "A wildcard is allowed only in its place",
        arguments: [
            "*", "*.", "a*.test", "*a.test", "a.*.test", "*.*.test", "**.test", "spiffe://*/a", "*://a/b",
            "spiffe://a/b*",
            "spiffe://a/*b/c", "spiffe://a.*/b", "spiffe://a/**", "*@a.test",
        ])
    func wildcards(text: String) { #expect(PeerNamePattern(text) == nil) }

    @Test(
        "A pattern's kind follows from its text, and its canonical form is the same pattern",
        arguments: [
            ("App.TEST", "DNS:app.test"), ("*.App.test", "DNS:*.app.test"),
            ("under_score.test", "DNS:under_score.test"),
            ("10.0.0.5", "IP:10.0.0.5"), ("2001:DB8:0::1", "IP:2001:db8::1"),
            ("SPIFFE://Example.com/ns/*/sa/Web", "URI:spiffe://example.com/ns/*/sa/Web"),
            ("https://a.test/user@b", "URI:https://a.test/user@b"), ("Ops@Example.com", "email:Ops@example.com"),
        ])
    func kinds(text: String, labeled: String) throws {
        let pattern = try #require(PeerNamePattern(text))
        #expect(pattern.labeledText == labeled)
        #expect(PeerNamePattern(pattern.text) == pattern)
        #expect((pattern.name == nil) == text.contains("*"))
    }

    @Test(
        "A mistyped IP address is not a host name",
        arguments: ["10.0.0.256", "10.0.0", "10", "*.10", "10.0.0.0/8", "::1::", "1.2.3.4.5"])
    func mistypedAddresses(text: String) { #expect(PeerNamePattern(text) == nil) }
}
