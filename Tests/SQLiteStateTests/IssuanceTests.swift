import Foundation
import GRDB
import State
import TestSupport
import Testing

@testable import SQLiteState

/// The journal of orders at CAs, with which a crash repeats no step.
@Suite struct IssuanceTests {
    private let folder: TemporaryFolder
    private let store: SQLiteStateStore
    private let other = LeaseHolder(machine: "there", scope: "boot", process: 3, startTicks: 4, user: "gateway")

    init() throws {
        folder = try TemporaryFolder()
        store = try .leased(folder.path("state.db"))
    }

    private func order(_ certificate: String, issuer: String = "ca") -> PendingOrder {
        PendingOrder(
            certificate: certificate, issuer: issuer, directory: "https://ca.test/dir",
            domains: ["a.example.com", "*.example.com"], sealedKey: [1], request: [2], createdAt: 3, terms: "ecdsa-p256"
        )
    }

    private func lease(_ name: Lease.Name, for holder: LeaseHolder) throws -> LeaseAttempt {
        try store.acquireLease(name, for: holder, now: 0, isFree: { _ in false })
    }

    @Test("Of two accounts created at once, the first one stays")
    func accounts() throws {
        let id = CAAccount.ID(directory: "https://ca.test/dir")
        var first = CAAccount(id: id, contact: "ops@example.com", sealedKey: [1], createdAt: 5)
        #expect(try store.account(id) == nil)
        #expect(try store.addAccount(first) == first)
        #expect(try store.addAccount(CAAccount(id: id, contact: "", sealedKey: [2], createdAt: 6)) == first)
        first.url = "https://ca.test/account/1"
        try store.updateAccount(first)
        #expect(try store.account(id) == first)
        let bound = CAAccount.ID(directory: "https://ca.test/dir", externalKeyID: "kid")
        #expect(try store.account(bound) == nil)
        first.sealedNextKey = [4]
        try store.updateAccount(first)
        #expect(try store.account(id) == first)
        try store.commit([.resealAccount(id, sealedKey: [9], sealedNextKey: nil)], by: me)
        #expect(try store.accounts().map(\.sealedKey) == [[9]])
        #expect(try store.accounts().map(\.sealedNextKey) == [nil])
    }

    @Test("Only the holder of a certificate's lease may write its order; other leases are free")
    func leases() throws {
        #expect(try lease(.certificate("a"), for: me) == .acquired)
        #expect(try lease(.certificate("b"), for: other) == .acquired)
        guard case .held(let held) = try lease(.certificate("a"), for: other) else {
            Issue.record("two hold one lease")
            return
        }
        #expect(held.holder == me)
        try store.putOrder(order("a"), by: me)
        #expect(throws: StateError.leaseLost) { try store.putOrder(order("a"), by: other) }
        #expect(throws: StateError.leaseLost) { try store.deleteOrder(for: "a", by: other) }
        #expect(throws: StateError.leaseLost) {
            try store.commit([.putCertificate(certificate("a"))], by: other, under: .certificate("a"))
        }
    }

    @Test("Orders of the API are in no snapshot, and are deleted a day after the CA has refused them")
    func ordersOfTheAPI() throws {
        for (name, issuer, isFinalized) in [("file", "ca", false), ("refused", "", false), ("lost", "", true)] {
            #expect(try lease(.certificate(name), for: me) == .acquired)
            var order = order(name, issuer: issuer)
            order.isFinalized = isFinalized
            try store.putOrder(order, by: me)
        }
        #expect(try store.snapshot().renewals.keys.sorted() == ["file"])
        let retention = Retention(certificateSeconds: 1)
        try store.commit([.prune(retention, now: 2 + RememberedAnswer.seconds)], by: me)
        #expect(try store.pendingOrders().map(\.certificate) == ["file", "lost", "refused"])
        try store.commit([.prune(retention, now: 3 + RememberedAnswer.seconds)], by: me)
        #expect(try store.pendingOrders().map(\.certificate) == ["file", "lost"])
    }

    @Test("An order is read back unchanged, and ends with the commit of its certificate and lease")
    func orders() throws {
        #expect(try lease(.certificate("a"), for: other) == .acquired)
        var order = order("a")
        try store.putOrder(order, by: other)
        #expect(try store.pendingOrder(for: "a") == order)
        order.url = "https://ca.test/order/1"
        order.isFinalized = true
        order.isRenewal = true
        try store.putOrder(order, by: other)
        #expect(try store.pendingOrders() == [order])
        try store.commit([.resealOrder(certificate: "a", sealedKey: [7])], by: me)
        #expect(try store.pendingOrder(for: "a")?.sealedKey == [7])
        try store.commit(
            [.putCertificate(certificate("a")), .endOrder(certificate: "a")], by: other, under: .certificate("a"))
        #expect(try store.pendingOrder(for: "a") == nil)
        #expect(try lease(.certificate("a"), for: me) == .acquired)
    }

    @Test("A deleted certificate is no longer ordered or renewed", arguments: [ItemKind.certificate, .host])
    func deletion(kind: ItemKind) throws {
        #expect(try lease(.certificate("a"), for: me) == .acquired)
        try store.putOrder(order("a"), by: me)
        try store.putRenewal(RenewalProgress(certificate: "a"))
        try store.commit([.deleteItem(ItemID(kind, "a"))], by: me)
        #expect(try store.pendingOrders() == [])
        #expect(try store.renewals() == [])
    }

    @Test("A commit that depends on an item fails if the item has changed")
    func requirement() throws {
        try store.commit([.putItem(host, owner: .file, record: [1]), .putCertificate(certificate("a"))], by: me)
        let stored = ItemID(.certificate, "a")
        try store.commit([.require(host, record: [1]), .require(stored, record: Array("{}".utf8))], by: me)
        let revision = try store.revision()
        #expect(throws: StateError.changedMeanwhile(host)) {
            try store.commit([.putCertificate(certificate("b")), .require(host, record: [2])], by: me)
        }
        #expect(throws: StateError.changedMeanwhile(stored)) {
            try store.commit([.require(stored, record: [])], by: me)
        }
        #expect(try store.revision() == revision)
        #expect(try store.certificate(named: "b") == nil)
    }

    @Test("The ledger lists requests to a CA since a time, and drops entries that no limit needs")
    func ledger() throws {
        let first = LedgerEntry(at: 100, directory: "one", kind: .order, names: ["a", "b"])
        let second = LedgerEntry(at: 200, directory: "one", kind: .certificate, names: ["a"], isExempt: true)
        try store.addToLedger(first)
        try store.addToLedger(second)
        try store.addToLedger(LedgerEntry(at: 200, directory: "two", kind: .failedAuthorization, names: ["a"]))
        #expect(try store.ledger(of: "one", since: 0) == [first, second])
        #expect(try store.ledger(of: "one", since: 101) == [second])
        try store.addToLedger(
            LedgerEntry(at: 101 + LedgerEntry.keptSeconds, directory: "two", kind: .order, names: ["c"]))
        #expect(try store.ledger(of: "one", since: 0) == [second])
    }

    @Test("Renewal progress is stored, and journals do not raise the revision")
    func renewals() throws {
        var renewal = RenewalProgress(certificate: "a")
        #expect(try store.renewal(of: "a") == nil)
        try store.putRenewal(renewal)
        renewal.failures = 3
        renewal.nextTryAt = 50
        renewal.lastFailure = "no answer"
        renewal.advisedFingerprint = "ab"
        renewal.advisedAt = 70
        renewal.nextAdviceAt = 60
        try store.putRenewal(renewal)
        #expect(try store.renewal(of: "a") == renewal)
        #expect(try store.renewals() == [renewal])
        #expect(try store.snapshot().renewals == ["a": renewal])
        var advice = RenewalProgress(certificate: "a")
        advice.advisedFingerprint = "cd"
        advice.nextAdviceAt = 90
        try store.putAdvice(advice)
        renewal.advisedFingerprint = "cd"
        renewal.advisedAt = nil
        renewal.nextAdviceAt = 90
        #expect(try store.renewal(of: "a") == renewal)
        advice = RenewalProgress(certificate: "b")
        try store.putAdvice(advice)
        #expect(try store.renewal(of: "b") == advice)
        #expect(try store.revision() == 0)
    }

    @Test("After a renewal by advice, no advice counts for some hours; after any other renewal, advice counts at once")
    func advisedRenewal() throws {
        func renew(advisedAt: Int64?, about fingerprint: String, at now: Int64, lifetime: Int64 = 90 * 86_400) throws
            -> RenewalProgress?
        {
            var former = certificate("a")
            former.facts.fingerprint = "former"
            try store.commit([.putCertificate(former)], by: me)
            var progress = RenewalProgress(certificate: "a")
            (progress.failures, progress.nextTryAt) = (2, now)
            (progress.advisedFingerprint, progress.advisedAt) = (fingerprint, advisedAt)
            try store.putRenewal(progress)
            var next = former
            next.facts.fingerprint = "next"
            (next.facts.createdAt, next.facts.expiresAt) = (now, now + lifetime)
            #expect(try lease(.certificate("a"), for: me) == .acquired)
            try store.commit([.putCertificate(next), .endOrder(certificate: "a")], by: me)
            return try store.renewal(of: "a")
        }
        #expect(try renew(advisedAt: nil, about: "former", at: 1000) == nil)
        #expect(try renew(advisedAt: 1001, about: "former", at: 1000) == nil)
        #expect(try renew(advisedAt: 1000, about: "another", at: 1000) == nil)
        var pause = RenewalProgress(certificate: "a")
        (pause.advisedFingerprint, pause.nextAdviceAt) = ("next", 1000 + 6 * 3600)
        #expect(try renew(advisedAt: 1000, about: "former", at: 1000) == pause)
        pause.nextAdviceAt = 1010
        #expect(try renew(advisedAt: 0, about: "former", at: 1000, lifetime: 80) == pause)
    }
}
