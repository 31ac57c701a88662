import ConfigModel
import Issuers
import Materials
import PKI
import State
import Vault

/// Does the work that is due for the identities of one Vault. Only the thread of the Vault's `VaultKeeper` may use this
/// object.
///
/// `VaultIdentityPlan` decides what is due. `VaultRound+Obtaining` calls the Vault, and `VaultRound+State` stores
/// identities.
final class VaultRound {
    let vault: String
    let desk: VaultExchange
    private let gate: VaultCallGate
    let log: EventLog
    private let jitter: UInt64
    private(set) var work: VaultKeeper.Work?
    var entries: [String: Entry] = [:]
    /// Nil if the Vault's settings can't be used, for the reason in `sessionFailure`.
    private(set) var session: VaultSession?
    private var sessionFailure: String?
    private var nextTending: Int64 = .min
    private var toldTending: String?
    /// The path of the file with the Vault's CAs, which `files` watches; nil if the settings name none.
    private var authoritiesFile: String?
    private var files = WatchedFiles()
    /// The store that was last read, and its data version at that time.
    var seen: (store: ObjectIdentifier, data: Int)?

    /// An identity that the keeper obtains and renews.
    struct Entry {
        var plan: VaultIdentityPlan
        /// The identity in force; nil if there is none yet.
        var identity: Identity?
        /// The row of the identity in the state, as it was last read or written.
        var row: ObtainedIdentity?
        /// The row of an identity that was obtained but could not be stored.
        var unstored: ObtainedIdentity?
        /// Whether the last delivery was a failure.
        var hasToldFailure = false

        var declaration: VaultIdentityDeclaration { plan.declaration }
    }

    init(vault: String, desk: VaultExchange, gate: VaultCallGate, log: EventLog, jitter: UInt64) {
        (self.vault, self.desk, self.gate, self.log, self.jitter) = (vault, desk, gate, log, jitter)
    }

    // MARK: Declarations

    func keep(_ work: VaultKeeper.Work) {
        let former = self.work
        self.work = work
        if former?.hasSameSession(as: work) != true {
            connect(work)
            lookNow()
        }
        for name in entries.keys where work.identities[name] == nil { entries[name] = nil }
        for (name, declaration) in work.identities {
            if entries[name] == nil {
                entries[name] = Entry(plan: VaultIdentityPlan(declaration, jitter: hash(of: name)))
            } else {
                entries[name]?.plan.declare(declaration)
            }
        }
        // The state may have identities for the new declarations, so it is read again.
        seen = nil
    }

    func lookNow() {
        session?.allowLogin()
        nextTending = .min
        for name in entries.keys { entries[name]?.plan.retryNow() }
    }

    /// Makes a session for new settings.
    private func connect(_ work: VaultKeeper.Work) {
        authoritiesFile.map { _ = files.release($0) }
        files.directory = work.directory
        authoritiesFile = work.settings.caFile
        authoritiesFile.map { files.use($0) }
        (nextTending, toldTending, session) = (.min, nil, nil)
        do {
            session = try makeSession(work)
            sessionFailure = nil
        } catch {
            sessionFailure = "\(error)"
        }
    }

    private func makeSession(_ work: VaultKeeper.Work) throws -> VaultSession {
        let authorities = try work.settings.caFile.map { path in
            if let failure = files[path].failure { throw IdentityFault("cannot read '\(path)': \(failure)") }
            return files[path].content?.plainCopy() ?? []
        }
        let desk = desk
        let secrets = SecretReader(directory: work.directory, sealer: work.sealer) {
            guard let store = desk.store else { throw IdentityFault("the state can't be used now") }
            return store
        }
        return try VaultSession(
            work.settings, authorities: authorities, secrets: secrets, jitter: jitter, now: { GatewayServer.now },
            credential: { try desk.credential(of: $0) })
    }

    /// Makes a new session when the file of the Vault's CAs has changed. If the CAs can't be used, the former session
    /// stays, with the former CAs.
    private func lookAtAuthoritiesFile() {
        guard let work, let path = authoritiesFile, !files.look().isEmpty else { return }
        do {
            session = try makeSession(work)
            sessionFailure = nil
            lookNow()
            log.info("Vault '\(vault)' is verified by other CAs now")
        } catch {
            guard session != nil else { return sessionFailure = "\(error)" }
            log.error("the CAs of Vault '\(vault)' in '\(path)' can't be used: \(error); the former ones are used on")
        }
    }

    /// A hash that differs between gateways and identities, so that renewals are spread. It never changes, so planned
    /// times stay the same.
    func hash(of name: String) -> UInt64 {
        Digest.sha256(Array(name.utf8)).prefix(8).reduce(jitter) { $0 &* 31 &+ UInt64($1) &* 0x9E37_79B9_7F4A_7C15 }
    }

    // MARK: A round

    func run(now: Int64) {
        readState(now)
        storeUnstored()
        lookAtAuthoritiesFile()
        guard let session else {
            if let work, now >= nextTending, !entries.isEmpty {
                connect(work)
                nextTending = now + 10
            }
            for (name, entry) in entries where isDue(entry, now) { failed(name, sessionFailure ?? "", now) }
            return
        }
        // Without a token, the failed login counts as the failure of each identity, so that no identity causes another
        // login.
        var outage: VaultError?
        guard gate.pass({ outage = tend(session, now) }) else { return }
        for name in entries.keys.sorted() {
            guard let entry = entries[name], isDue(entry, now) else { continue }
            // If one call found that the Vault is down, the other identities are not tried in this round.
            if let outage {
                failed(name, outage, GatewayServer.now)
            } else if !gate.pass({ outage = call(entry.plan.step(at: now), name, session, now) }) {
                return
            }
        }
    }

    /// Carries out a step of an identity.
    ///
    /// - Returns: The error, if calls for other identities would fail in the same way.
    private func call(
        _ step: VaultIdentityPlan.Step, _ name: String, _ session: VaultSession, _ now: Int64
    ) -> VaultError? {
        do {
            try carryOut(step, name, session, now)
        } catch let error as VaultError {
            failed(name, error, GatewayServer.now)
            return error.isOutage ? error : nil
        } catch {
            failed(name, "\(error)", GatewayServer.now)
        }
        return nil
    }

    private func isDue(_ entry: Entry, _ now: Int64) -> Bool {
        if case .rest = entry.plan.step(at: now) { false } else { true }
    }

    private func carryOut(
        _ step: VaultIdentityPlan.Step, _ name: String, _ session: VaultSession, _ now: Int64
    ) throws {
        guard let declaration = entries[name]?.declaration else { return }
        switch (step, declaration.content) {
        case (.rest, _): return
        case (.obtain, .certificate(let order)): try obtain(name, order, session)
        case (.look, .certificate(let order)): try lookAtAuthorities(name, order, session)
        case (.obtain, .secret(let place)): try read(name, place, session)
        case (.look, .secret(let place)):
            let version = try session.version(of: place)
            if entries[name]?.plan.mustRead(version, at: now) == true {
                try read(name, place, session)
            } else {
                looked(name)
            }
        }
    }

    /// Renews the Vault's token in time, and logs warnings and failures.
    ///
    /// - Returns: Why there is no token; nil if there is one, or if the next check of the token is not due yet.
    private func tend(_ session: VaultSession, _ now: Int64) -> VaultError? {
        guard now >= nextTending, !entries.isEmpty else { return nil }
        let tending = session.tend()
        nextTending = tending.nextAt
        for note in tending.notes { log.warning("Vault '\(vault)': \(note)") }
        let failure = tending.failure.map { "\($0)" }
        if failure != toldTending, gate.isOpen {
            if let failure {
                log.error("Vault '\(vault)' gives no token: \(failure)")
            } else {
                log.info("Vault '\(vault)' gives a token again")
            }
            toldTending = failure
        }
        return tending.hasToken ? nil : tending.failure
    }

    // MARK: Results

    private func failed(_ name: String, _ error: VaultError, _ now: Int64) {
        failed(name, "\(error)", now, askedSeconds: error.retryAfter?.components.seconds ?? 0)
    }

    private func failed(_ name: String, _ reason: String, _ now: Int64, askedSeconds: Int64 = 0) {
        // If the keeper is being stopped, the call has failed with settings that are no longer in force.
        guard let entry = entries[name], gate.isOpen else { return }
        entries[name]?.plan.failed(at: now, askedSeconds: askedSeconds)
        entries[name]?.hasToldFailure = true
        desk.deliver(
            VaultExchange.Delivery(
                name: name, declaration: entry.declaration.digest, result: .failure(IdentityFault(reason))))
    }

    /// Notes that the identity in force is still the Vault's present one. If a failure was delivered before, the
    /// identity is delivered again, so that the failure ends.
    func looked(_ name: String, hasRead: Bool = false) {
        guard let entry = entries[name] else { return }
        let now = GatewayServer.now
        if hasRead { entries[name]?.plan.confirmed(at: now) } else { entries[name]?.plan.looked(at: now) }
        if entry.hasToldFailure, let identity = entry.identity { deliver(identity, name) }
    }

    func deliver(_ identity: Identity, _ name: String) {
        guard let entry = entries[name] else { return }
        entries[name]?.hasToldFailure = false
        desk.deliver(
            VaultExchange.Delivery(name: name, declaration: entry.declaration.digest, result: .success(identity)))
    }
}

extension VaultError {
    /// Whether calls for other identities would fail in the same way.
    fileprivate var isOutage: Bool { kind == .unreachable || kind == .unavailable || kind == .deadToken }
}
