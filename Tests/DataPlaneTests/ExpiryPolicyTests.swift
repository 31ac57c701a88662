import State
import Testing

@testable import Gateway

/// Which alerts there are about expiring certificates, and when.
@Suite struct ExpiryPolicyTests {
    private static let day: Int64 = 86_400
    private static let end: Int64 = 1000 * day
    private let policy = ExpiryPolicy(
        thresholds: [.seconds(7 * day), .seconds(30 * day), .seconds(day)], hasWebhook: true)

    private func item(
        _ name: String = "a", fingerprint: String = "f", renewsAt: Int64? = nil, startedAt: Int64 = 0,
        hasFailed: Bool = false
    ) -> ExpiringItem {
        ExpiringItem(
            subject: ExpiryAlert.Subject(.certificate, name, fingerprint: fingerprint), notAfter: Self.end,
            overdueAt: renewsAt.map {
                ExpiringItem.overdueAt(
                    renewsAt: $0, notAfter: Self.end, startedAt: startedAt, hasFailed: hasFailed)
            })
    }

    /// A time before the expiry, in seconds, and the threshold that is crossed then.
    struct Moment: CustomTestStringConvertible {
        let left: Int64
        let threshold: Int64?
        var testDescription: String { "\(left) s are left" }
    }

    @Test(
        "The nearest crossed threshold counts",
        arguments: [
            Moment(left: 31 * day, threshold: nil), Moment(left: 30 * day + 1, threshold: nil),
            Moment(left: 30 * day, threshold: 30 * day), Moment(left: 8 * day, threshold: 30 * day),
            Moment(left: 7 * day, threshold: 7 * day), Moment(left: day, threshold: day),
            Moment(left: 1, threshold: day), Moment(left: 0, threshold: 0), Moment(left: -1000 * day, threshold: 0),
        ])
    func nearest(_ moment: Moment) {
        let crossed = policy.crossed(by: item(), now: Self.end - moment.left)
        #expect(crossed == moment.threshold.map { ExpiryThreshold(seconds: $0) })
    }

    @Test("A certificate that the gateway renews causes an alert when overdue, then at later thresholds")
    func overdue() {
        let renewing = item(renewsAt: Self.end - 20 * Self.day)
        let expected: [(left: Int64, threshold: ExpiryThreshold?)] = [
            (30 * Self.day, nil), (20 * Self.day, nil), (19 * Self.day + 1, nil), (19 * Self.day, .overdue),
            (8 * Self.day, .overdue), (7 * Self.day, ExpiryThreshold(seconds: 7 * Self.day)),
            (1, ExpiryThreshold(seconds: Self.day)), (0, .end), (-Self.day, .end),
        ]
        for (left, threshold) in expected {
            #expect(policy.crossed(by: renewing, now: Self.end - left) == threshold, "\(left)")
        }
    }

    @Test("A short-lived certificate has little time to renew, and earlier thresholds cause no alert")
    func shortLife() {
        let renewing = item(renewsAt: Self.end - 8 * 3600)
        #expect(policy.crossed(by: renewing, now: Self.end - 6 * 3600 - 1) == nil)
        #expect(policy.crossed(by: renewing, now: Self.end - 6 * 3600) == .overdue)
        #expect(policy.crossed(by: renewing, now: Self.end - 1) == .overdue)
        #expect(policy.crossed(by: renewing, now: Self.end) == .end)
        // If the renewal is planned for the expiry or later, it is overdue at that time.
        #expect(item(renewsAt: Self.end).overdueAt == Self.end)
        #expect(item(renewsAt: Self.end + 5).overdueAt == Self.end + 5)
    }

    @Test("A renewal that became due while the gateway was down has ten minutes, unless it fails")
    func down() {
        let due = Self.end - 20 * Self.day
        #expect(item(renewsAt: due, startedAt: Self.end).overdueAt == Self.end + 600)
        #expect(item(renewsAt: due, startedAt: Self.end, hasFailed: true).overdueAt == due + Self.day)
    }

    @Test("No alert is repeated, or sent for a longer threshold, even if that one was added later")
    func once() {
        var told: [ExpiryAlert] = []
        for left in stride(from: 40, through: -10, by: -1) {
            told += policy.untold([item()], told: told, now: Self.end - Int64(left) * Self.day)
        }
        #expect(told.map(\.threshold.seconds) == [30 * Self.day, 7 * Self.day, Self.day, 0])
        let wider = ExpiryPolicy(thresholds: [.seconds(90 * Self.day)], hasWebhook: true)
        #expect(wider.untold([item()], told: told, now: Self.end - Self.day) == [])
    }

    @Test("Of thresholds that were crossed together, only the nearest causes an alert")
    func atOnce() {
        let told = policy.untold([item()], told: [], now: Self.end - 3600)
        #expect(told.map(\.threshold.seconds) == [Self.day])
        #expect(policy.untold([item()], told: told, now: Self.end - 1) == [])
    }

    @Test("An expired certificate causes one more alert after all thresholds")
    func ended() {
        var told = policy.untold([item()], told: [], now: Self.end - 3600)
        told += policy.untold([item()], told: told, now: Self.end)
        #expect(told.map(\.threshold) == [ExpiryThreshold(seconds: Self.day), .end])
        #expect(told.map(\.event) == [.expiring, .expired] && told.last?.threshold.text == "expired")
        #expect(policy.untold([item()], told: told, now: Self.end + Self.day) == [])
    }

    @Test("An overdue renewal causes one alert, even if its due time changes")
    func overdueOnce() {
        let told = policy.untold([item(renewsAt: Self.end - 20 * Self.day)], told: [], now: Self.end - 19 * Self.day)
        #expect(told.map(\.threshold) == [.overdue])
        let moved = item(renewsAt: Self.end - 15 * Self.day)
        #expect(policy.untold([moved], told: told, now: Self.end - 14 * Self.day) == [])
        #expect(policy.untold([moved], told: told, now: Self.end - 7 * Self.day).count == 1)
    }

    @Test("A new certificate of the same name causes alerts again")
    func another() {
        let now = Self.end - Self.day
        let told = policy.untold([item()], told: [], now: now)
        #expect(policy.untold([item(fingerprint: "g"), item("b")], told: told, now: now).count == 2)
    }

    @Test("The webhook is called when a try is due, and only for certificates still in force")
    func due() {
        let now = Self.end - Self.day
        var alert = policy.untold([item()], told: [], now: now)[0]
        #expect(policy.due([alert], of: [item()], now: now) == [alert])
        #expect(policy.due([alert], of: [item(fingerprint: "g")], now: now) == [])
        alert.nextTryAt = now + 1
        #expect(policy.due([alert], of: [item()], now: now) == [])
        alert.nextTryAt = nil
        #expect(policy.due([alert], of: [item()], now: now) == [])
        let silent = ExpiryPolicy(thresholds: [.seconds(Self.day)], hasWebhook: false)
        #expect(silent.untold([item()], told: [], now: now).map(\.nextTryAt) == [nil])
    }

    @Test("An alert has a text and a JSON form")
    func words() {
        func alert(_ left: Int64, _ threshold: ExpiryThreshold, _ name: String = "a") -> ExpiryAlert {
            ExpiryAlert(
                ExpiryAlert.Subject(.identity, name, fingerprint: "f"), notAfter: Self.end, threshold: threshold,
                toldAt: Self.end - left)
        }
        let week = ExpiryThreshold(seconds: 7 * Self.day)
        #expect(alert(7 * Self.day - 9, week).text == "the identity 'a' expires on 1972-09-27 00:00:00 UTC, in 7 days")
        #expect(alert(Self.day, week).text == "the identity 'a' expires on 1972-09-27 00:00:00 UTC, in 24 hours")
        #expect(alert(59, week).text == "the identity 'a' expires on 1972-09-27 00:00:00 UTC, in 59 seconds")
        #expect(alert(0, week).text == "the identity 'a' expired on 1972-09-27 00:00:00 UTC")
        #expect(
            alert(Self.day, .overdue).text
                == "the identity 'a' should have been renewed, and was not: it expires on 1972-09-27 00:00:00 UTC")
        let body = String(decoding: alert(Self.day, week, "a\"b").body(from: "edge-1"), as: UTF8.self)
        #expect(
            body == #"{"event":"expiring","kind":"identity","name":"a\"b","not_after":"1972-09-27T00:00:00Z","#
                + #""threshold":"7d","node":"edge-1","at":"1972-09-26T00:00:00Z"}"#)
    }
}
