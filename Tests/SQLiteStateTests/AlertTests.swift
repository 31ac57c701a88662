import GRDB
import State
import TestSupport
import Testing

@testable import SQLiteState

/// Stored alerts about expiring certificates.
@Suite struct AlertTests {
    private let folder: TemporaryFolder
    private let store: SQLiteStateStore

    init() throws {
        folder = try TemporaryFolder()
        store = try .leased(folder.path("state.db"))
    }

    private func alert(
        _ name: String = "a", fingerprint: String = "f", days: Int64, at time: Int64 = 100, notAfter: Int64 = 1000
    ) -> ExpiryAlert {
        ExpiryAlert(
            ExpiryAlert.Subject(.certificate, name, fingerprint: fingerprint), notAfter: notAfter,
            threshold: ExpiryThreshold(seconds: days * 86_400), toldAt: time, nextTryAt: time)
    }

    private func claim(_ alerts: ExpiryAlert..., by store: SQLiteStateStore? = nil) throws -> [ExpiryAlert] {
        try (store ?? self.store).claim(
            alerts.map {
                (
                    $0,
                    AuditEvent(at: $0.toldAt, actor: "a", action: "alert", item: $0.subject.kind.item($0.subject.name))
                )
            })
    }

    private func events() throws -> [String] {
        try store.database.read {
            try String.fetchAll($0, sql: "SELECT kind || ' ' || name FROM events WHERE action = 'alert' ORDER BY id")
        }
    }

    @Test("Only one of several stores claims an alert, and its event is stored with it")
    func once() throws {
        let other = try #require(try SQLiteStateStore(following: folder.path("state.db")))
        #expect(try claim(alert(days: 30)) == [alert(days: 30)])
        #expect(try claim(alert(days: 30, at: 200), by: other) == [])
        #expect(try claim(alert(days: 90, at: 200), by: other) == [])
        #expect(try claim(alert(days: 7, at: 300), alert("b", days: 7), by: other).count == 2)
        #expect(try claim(alert(days: 30, at: 400)) == [])
        #expect(try store.expiryAlerts() == [alert(days: 7, at: 300), alert("b", days: 7)])
        #expect(try events() == ["certificate a", "certificate a", "certificate b"])
        #expect(try store.revision() == 0)
    }

    @Test("An overdue renewal is alerted before all thresholds of time")
    func overdue() throws {
        let subject = alert(days: 7).subject
        let overdue = ExpiryAlert(subject, notAfter: 1000, threshold: .overdue, toldAt: 100)
        #expect(try claim(overdue) == [overdue])
        #expect(try claim(overdue) == [])
        #expect(try claim(alert(days: 7)).count == 1)
        #expect(try claim(overdue) == [])
    }

    @Test("A webhook call is claimed once and counted; after the third there is no more")
    func tries() throws {
        let other = try #require(try SQLiteStateStore(following: folder.path("state.db")))
        var current = try #require(try claim(alert(days: 7)).first)
        for number in 1...ExpiryAlert.mostTries {
            let now = Int64(number * 10_000)
            let next = try #require(try store.claimTry(of: current, now: now))
            #expect(try other.claimTry(of: current, now: now) == nil)
            #expect(next.tries == number)
            #expect(next.nextTryAt == (number < 3 ? now + ExpiryAlert.retrySeconds : nil))
            #expect(try other.expiryAlerts() == [next])
            current = next
        }
        try store.delivered(current, at: 50_000)
        #expect(try store.expiryAlerts().map(\.deliveredAt) == [50_000])
        // At the next threshold, the alert is reported again, with no calls to the webhook so far.
        #expect(try claim(alert(days: 1)).count == 1)
        #expect(try store.expiryAlerts() == [alert(days: 1)])
        // A late report about the former alert changes nothing.
        try store.delivered(current, at: 60_000)
        #expect(try store.expiryAlerts() == [alert(days: 1)])
    }

    @Test("Alert rows of expired certificates are deleted after a replacement or a long time")
    func pruning() throws {
        _ = try claim(alert(days: 7), alert(fingerprint: "g", days: 7, notAfter: 5000), alert("b", days: 7))
        _ = try claim(alert(fingerprint: "h", days: 7, at: 2000, notAfter: 9000))
        #expect(try store.expiryAlerts().map(\.subject.fingerprint) == ["g", "h", "f"])
        _ = try claim(alert("c", days: 7, at: 2000 + ExpiryAlert.keptSeconds, notAfter: 1 << 40))
        #expect(try store.expiryAlerts().map(\.subject.name) == ["a", "a", "c"])
    }
}
