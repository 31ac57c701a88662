import ConfigModel
import Gateway
import Operations
import PKI
import SQLiteState
import State
import Synchronization
import TestSupport
import Testing

@testable import AdminAPI

/// The API over a state of a test's own, at a time that the test sets.
final class APIFixture: Sendable {
    private let folder: TemporaryFolder
    let store: SQLiteStateStore
    private let time = Mutex<Int64>(1_800_000_000)
    /// Whether the API finds a state.
    private let isThere = Mutex(true)
    private let failure = Mutex<StateError?>(nil)
    /// Whether an apply has the lock.
    let isLocked = Mutex(false)
    /// The revisions that changes have waited for.
    let awaited = Mutex<[Int]>([])
    let masterKey: MasterKey
    let api: AdminAPI
    let holder = LeaseHolder(machine: "here", scope: "boot", process: 1, startTicks: 2, user: "ops")

    var now: Int64 {
        get { time.withLock { $0 } }
        set { time.withLock { $0 = newValue } }
    }

    init() throws {
        folder = try TemporaryFolder()
        store = try SQLiteStateStore(path: folder.path("state/state.db"))
        let access = Access()
        let key = try MasterKey.generate()
        masterKey = key
        let writing = AdminAPI.Writing(
            masterKey: { _ in key },
            underLock: { _, _, body in
                guard let fixture = access.fixture, !fixture.isLocked.withLock({ $0 }) else { return false }
                try body(fixture.holder)
                return true
            }, awaitService: { _, revision in access.fixture?.awaited.withLock { $0.append(revision) } })
        api = AdminAPI(
            AdminAPI.Dependencies(
                version: "1.2.3", writing: writing, now: { access.fixture?.now ?? 0 }, localAuthority: { _, _ in nil },
                openStore: { body in
                    guard let fixture = access.fixture, fixture.isThere.withLock({ $0 }) else { return false }
                    if let failure = fixture.failure.withLock({ $0 }) { throw failure }
                    try body(fixture.store)
                    return true
                }))
        access.set(self)
        _ = try store.acquireLease(.apply, for: holder, now: now, isFree: { _ in false })
    }

    /// Lets the API's closures reach the fixture, which has the API.
    private final class Access: Sendable {
        private struct Reference: Sendable { weak let fixture: APIFixture? }
        private let reference = Mutex<Reference?>(nil)
        var fixture: APIFixture? { reference.withLock { $0?.fixture } }
        func set(_ fixture: APIFixture) { reference.withLock { $0 = Reference(fixture: fixture) } }
    }

    func removeState() { isThere.withLock { $0 = false } }

    func fail(_ error: StateError?) { failure.withLock { $0 = error } }

    /// A new token's text.
    func token(_ name: String = "ops", _ scope: AccessToken.Scope = .read, expiresAt: Int64? = nil) throws -> String {
        let text = try AccessSecret.token.make()
        let token = AccessToken(
            name: name, scope: scope, digest: try #require(AccessSecret.token.digest(of: text)), createdAt: now,
            createdBy: "ops@here", expiresAt: expiresAt)
        let event = AuditEvent(at: now, actor: "ops@here", action: "create-token", item: ItemID(single: .gateway))
        #expect(try store.addAccessToken(token, event: event))
        return text
    }

    /// A certificate that lasts from a day ago for `days`.
    func certificate(
        _ name: String, domains: [String]? = nil, days: Int64 = 90, source: CertificateFacts.Source = .custom
    )
        throws
        -> StoredCertificate
    {
        StoredCertificate(
            name: name, owner: .file, record: Array("{}".utf8),
            facts: CertificateFacts(
                domains: domains ?? [name], source: source, issuerCommonName: "A CA", notBefore: now - 86_400,
                expiresAt: now + days * 86_400, autoRenew: false, createdAt: now, fingerprint: "ab"),
            chain: Array("PEM".utf8), sealedKey: Array("SEALED-KEY-CANARY".utf8))
    }

    func commit(_ mutations: StateMutation...) throws { try store.commit(mutations, by: holder) }

    func ask(
        _ target: String, _ token: String? = nil, method: String = "GET", fields: [(String, String)] = [],
        network: UInt64 = 1, mayChange: Bool = true, body: String? = nil
    ) -> AdminResponse {
        let type = body == nil ? [] : [("content-type", "application/json")]
        let fields = fields.contains { $0.0 == "content-type" } ? fields : fields + type
        let own = token.map { [(name: "authorization", value: "Bearer \($0)")] } ?? []
        return api.answer(
            AdminRequest(
                method: method, target: target, authority: "127.0.0.1:9443",
                fields: own + fields.map { (name: $0.0, value: $0.1) }, body: Array((body ?? "").utf8),
                client: "192.0.2.7", network: network, requestID: "request-1", mayChange: mayChange))
    }
}

extension AdminResponse {
    subscript(name: String) -> String? { fields.first { $0.name == name }?.value }

    var text: String { String(decoding: body, as: UTF8.self) }

    /// The last word of a problem's type; nil for other answers.
    var problem: String? {
        guard self["Content-Type"] == "application/problem+json" else { return nil }
        return text.firstMatch(of: /urn:aegis:problem:([a-z-]+)/).map { String($0.1) }
    }
}
