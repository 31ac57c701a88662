import Testing

@testable import Gateway

/// How values are written in a line of the log in text format.
@Suite struct EventLogTests {
    @Test(
        "A logged value is one plain word, or is quoted",
        arguments: [
            ("a.test", "a.test"), ("", "\"\""), ("CN=a", "\"CN=a\""), ("0.3 seconds", "\"0.3 seconds\""),
            ("CN=x host=other.test reason=revoked", "\"CN=x host=other.test reason=revoked\""),
            ("a\"b", "\"a\\\"b\""), ("a\\b", "\"a\\\\b\""), ("DNS:a,DNS:b", "DNS:a,DNS:b"),
            ("a\nb", "a?b"), ("a\u{85}b", "a?b"), ("a\u{2028}b\u{9B}", "a?b?"), ("a\u{A0}b", "\"a\u{A0}b\""),
            ("Büro", "Büro"),
        ])
    func value(text: String, written: String) {
        #expect(EventLog.value(text) == written)
    }
}
