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

    @Test("The cookie is found at any place in the field, and no other cookie is mistaken for it")
    func search() {
        let cases = [
            ("", false), ("a=1; b=2", false), ("a=1; __Host-aegis=x", true), ("__Host-aegis", false), ("a=1;", false),
            ("__Host-aegis=", true), ("a=__Host-aegis=x", false), (";;  __Host-aegis=x", true),
        ]
        for (value, isThere) in cases { #expect(value.lendingBytes { AdminCookie.isIn($0) } == isThere, "\(value)") }
    }
}
