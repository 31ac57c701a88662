import Testing

@testable import ACME

@Suite struct ACMEURLTests {
    private static func base() throws -> ACMEURL { try ACMEURL("https://ca.test/a/b?c=d") }

    @Test(
        "Valid URLs are used as they are written",
        arguments: [
            "https://ca.test", "https://CA.test:14000/dir", "HTTPS://ca.test/a?b=c&d=%2F", "https://[::1]:14000/dir",
            "https://127.0.0.1/~a/(b)/c;d",
        ])
    func url(_ text: String) throws {
        #expect(try ACMEURL(text).text == text)
    }

    @Test(
        "Other URLs are refused",
        arguments: [
            "", "https://", "https:///path", "ftp://ca.test/", "https://user@ca.test/", "https://ca.test/#a",
            "https://ca.test/a b", "https://ca.test/\u{E9}", "https://ca.test/%2", "https://ca.test/%zz",
            "https://ca.test/\r\nHost: x", "https://ca.test:/", "https://ca.test:123456/", "https://ca.test:80x/",
            "https://[::1/", "https://[]/", "https://[::1]x/", "https://ca.test\\x/", "https://ca.test/\"", "//ca.test",
            "https://ca.test/" + String(repeating: "a", count: 2048),
        ])
    func badURL(_ text: String) {
        #expect(throws: ACMEError.self) { try ACMEURL(text) }
    }

    @Test(
        "Bytes that a URL can't have are percent-encoded in answers",
        arguments: [
            ("https://ca.test/1?a|b", "https://ca.test/1?a%7Cb"), ("/1?x=[1]{2}", "https://ca.test/1?x=%5B1%5D%7B2%7D"),
            (" https://ca.test/a b\r\n", "https://ca.test/a%20b"), ("https://ca.test/\u{E9}", "https://ca.test/%C3%A9"),
            ("/5%", "https://ca.test/5%25"), ("/%zz%2F", "https://ca.test/%25zz%2F"),
            ("/a\\b^\"", "https://ca.test/a%5Cb%5E%22"),
            ("//[::1]:14000/a|", "https://[::1]:14000/a%7C"), ("https://b.test", "https://b.test"),
            ("/to?u=https://b.test/|", "https://ca.test/to?u=https://b.test/%7C"),
        ])
    func encodedURL(_ text: String, _ expected: String) throws {
        #expect(try ACMEURL(text, from: Self.base(), of: "URL").text == expected)
        let words = "a URL with characters that must be percent-encoded"
        #expect(text.hasPrefix("https") == false || ACMEURL.oddity(of: text) == (text == expected ? nil : words))
    }

    @Test(
        "Other texts in answers are no URLs",
        arguments: [
            "https://ca.test/a\r\nHost: x", "https://ca.test\\x/", "https://ca test/", "https://u@ca.test/|", " ",
        ])
    func badReference(_ text: String) throws {
        #expect(throws: ACMEError.self) { try ACMEURL(text, from: Self.base(), of: "URL") }
    }

    @Test(
        "References are resolved as in the examples of RFC 3986 section 5.4",
        arguments: [
            ("https://other.test/x", "https://other.test/x"), ("//g", "https://g"), ("/g", "https://ca.test/g"),
            ("g", "https://ca.test/b/c/g"), ("./g", "https://ca.test/b/c/g"), ("g/", "https://ca.test/b/c/g/"),
            ("?y", "https://ca.test/b/c/d;p?y"), ("g?y/../z", "https://ca.test/b/c/g?y/../z"),
            ("g;x", "https://ca.test/b/c/g;x"), (".", "https://ca.test/b/c/"), ("..", "https://ca.test/b/"),
            ("../g", "https://ca.test/b/g"), ("../../g", "https://ca.test/g"), ("../../../g", "https://ca.test/g"),
            ("/./g", "https://ca.test/g"), ("/../g", "https://ca.test/g"), ("g.", "https://ca.test/b/c/g."),
            ("..g", "https://ca.test/b/c/..g"), ("./g/.", "https://ca.test/b/c/g/"),
            ("g/./h", "https://ca.test/b/c/g/h"),
            ("g#s", "https://ca.test/b/c/g"), ("g?y#s", "https://ca.test/b/c/g?y"),
            ("g;x=1/../y", "https://ca.test/b/c/y"),
            ("./a:b", "https://ca.test/b/c/a:b"),
        ])
    func reference(_ reference: String, _ url: String) throws {
        #expect(try ACMEURL(reference, from: ACMEURL("https://ca.test/b/c/d;p?q"), of: "URL").text == url)
    }

    @Test("A URL without a path can be a base, and no reference leads to another scheme than https")
    func badReference() throws {
        let bare = try ACMEURL("https://ca.test")
        #expect(try ACMEURL("g", from: bare, of: "URL").text == "https://ca.test/g")
        // A CA behind a proxy may not know that it is reached by https.
        #expect(try ACMEURL("http://ca.test/g", from: bare, of: "URL").text == "https://ca.test/g")
        #expect(
            try ACMEURL("HTTP://CA.test:14000/g?h", from: ACMEURL("https://ca.test:14000/x"), of: "URL").text
                == "https://CA.test:14000/g?h")
        #expect(try ACMEURL("?g", from: ACMEURL("https://ca.test?q"), of: "URL").text == "https://ca.test?g")
        for text in [
            "", "#s", "http://a.test/", "http://ca.test:80/", "http://ca.test.b.test/", "g:h", "ftp:x", "//",
            "//user@x/",
        ] {
            #expect(throws: ACMEError.self) { try ACMEURL(text, from: bare, of: "URL") }
        }
    }
}
