import Testing

@testable import ACME

@Suite struct RateLimitTests {
    typealias Event = RateLimitLedger.Event

    @Test(
        "Registered domains follow the public suffix list",
        arguments: [
            ("www.example.com", "example.com"), ("*.a.example.com", "example.com"), ("example.com", "example.com"),
            ("a.b.co.uk", "b.co.uk"), ("co.uk", "co.uk"), ("*.co.uk", "co.uk"), ("a.me.github.io", "me.github.io"),
            ("a.b.xn--p1ai", "b.xn--p1ai"), ("localhost", "localhost"), ("a.b.internal", "b.internal"),
        ])
    func registeredDomain(_ name: String, _ domain: String) {
        #expect(RegisteredDomain.of(.dns(name)) == domain)
    }

    @Test("An IP address is its own registered domain")
    func address() {
        #expect(RegisteredDomain.of(.ip("192.0.2.1")) == "192.0.2.1")
    }

    @Test("An account may place 300 orders at once, and then one every 36 seconds")
    func orders() {
        var ledger = RateLimitLedger((0..<299).map { _ in Event(.order, at: 0) })
        #expect(ledger.permission(for: [.dns("a.test")], now: 0) == .now)
        ledger.note(Event(.order, at: 0))
        #expect(
            ledger.permission(for: [.dns("a.test")], now: 0)
                == .from(36, limit: "the account's limit of orders (300 in 3 hours) is reached"))
        #expect(ledger.permission(for: [.dns("a.test")], now: 36) == .now)
        ledger.note(Event(.order, at: 36))
        guard case .from(72, _) = ledger.permission(for: [.dns("a.test")], now: 36) else {
            Issue.record("it does not refill evenly")
            return
        }
    }

    @Test("A registered domain may get 50 certificates, and then one every 202 minutes")
    func domain() {
        let events = (0..<50).map { Event(.certificate([.dns("\($0).example.com"), .dns("example.com")]), at: 1000) }
        let ledger = RateLimitLedger(events)
        let words = "the limit of certificates for example.com (50 in 7 days) is reached"
        #expect(ledger.permission(for: [.dns("new.example.com")], now: 1000) == .from(1000 + 12_096, limit: words))
        #expect(ledger.permission(for: [.dns("new.example.com")], now: 1000 + 12_096) == .now)
        #expect(ledger.permission(for: [.dns("new.example.org")], now: 1000) == .now)
        #expect(
            ledger.permission(for: [.dns("new.example.org"), .dns("new.example.com")], now: 1000)
                == .from(1000 + 12_096, limit: words))
    }

    @Test("The same set of names may get 5 certificates, and then one every 34 hours")
    func exactSet() {
        let events = (0..<5).map { Event(.certificate([.dns("a.test"), .dns("b.test")]), at: Int64($0)) }
        let ledger = RateLimitLedger(events.reversed())
        #expect(
            ledger.permission(for: [.dns("b.test"), .dns("a.test")], now: 5)
                == .from(
                    120_960, limit: "the limit of certificates for exactly these names (5 in 7 days) is reached"))
        #expect(ledger.permission(for: [.dns("a.test")], now: 5) == .now)
    }

    @Test("After 5 failed authorizations a name must wait, and so must its wildcard")
    func failures() {
        let events = (0..<5).map { Event(.failedAuthorization(.dns("a.test")), at: Int64($0)) }
        let ledger = RateLimitLedger(events)
        let words = "the limit of failed authorizations of a.test (5 in an hour) is reached"
        for name in ["a.test", "*.a.test"] {
            let permission = ledger.permission(for: [.dns(name), .dns("b.test")], now: 10)
            #expect(permission == .from(720, limit: words))
        }
        #expect(ledger.permission(for: [.dns("b.test")], now: 10) == .now)
    }

    @Test("Old entries of the ledger do not matter, and a copy of a ledger is independent")
    func oldEvents() {
        let events = (0..<200).map { Event(.certificate([.dns("a.test")]), at: Int64($0)) }
        let ledger = RateLimitLedger(events + [Event(.order, at: 5)], limits: .letsEncrypt)
        var copy = ledger
        copy.note(Event(.failedAuthorization(.dns("a.test")), at: 6))
        // The CA would not have allowed 200 orders at once. A ledger that has them waits until all tokens are refilled.
        #expect(ledger.permission(for: [.dns("a.test")], now: 200 * 120_960) == .now)
        #expect(RateLimitLedger().permission(for: [.dns("a.test")], now: 0) == .now)
    }
}
