import Testing

@testable import Gateway

@Suite struct AdminCookieTests {
    @Test(
        "Only the session's cookie is left out",
        arguments: [
            ("__Host-aegis=abc", []), ("a=1; __Host-aegis=abc", ["a=1"]), ("__Host-aegis=abc; a=1", ["a=1"]),
            ("a=1;__Host-aegis=abc;b=2", ["a=1", "b=2"]), ("a=1; __Host-aegis=x; __Host-aegis=y; b=2", ["a=1", "b=2"]),
            ("x__Host-aegis=abc", ["x__Host-aegis=abc"]), ("__Host-aegis2=abc", ["__Host-aegis2=abc"]),
            ("a=__Host-aegis=abc", ["a=__Host-aegis=abc"]), ("__Host-aegis", ["__Host-aegis"]), ("", []), ("; ;", []),
            ("__host-aegis=abc", ["__host-aegis=abc"]),
        ])
    func others(_ value: String, _ expected: [String]) {
        var found: [String] = []
        value.lendingBytes { AdminCookie.forEachOther(in: $0) { found.append($0.text) } }
        #expect(found == expected)
    }

    @Test("A field that can't contain the cookie is recognised")
    func search() {
        for (value, may) in [("", false), ("a=1; b=2", false), ("a=1; __Host-aegis=x", true), ("__Host-aegis", false)] {
            #expect(value.lendingBytes { AdminCookie.mayBe(in: $0) } == may)
        }
    }
}
