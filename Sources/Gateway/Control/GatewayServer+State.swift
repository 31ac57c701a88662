import ConfigModel
import Glibc
import Issuers
import PKI
import State
import SystemPackage

extension GatewayServer {
    /// Reads the state's changes, if there are any, and puts them in force. If the state can't be read, the
    /// configuration in force stays.
    func reload() {
        guard !isEnding, heldChange == nil, stateMayBeRead() else { return }
        do {
            if store == nil {
                guard mayOpenState() else { return }
                store = try options.openState(StateDamage.controlPatience)
            }
            guard let store else { return stateIsMissing() }
            let latest = try store.position()
            stateWatch.reading.ended()
            // SQLite may create files when it first reads the state. So the files are recorded only after a read.
            if stateWatch.opened == nil { stateWatch.opened = StateFiles(path: options.statePath) }
            // At revision 0 the database has tables but no configuration, since the first apply has not finished.
            guard latest.revision > 0 else { return stateIsMissing() }
            guard latest != position || loadFailure != nil || mustReadAll else { return }
            guard !hasLostCommits(at: latest) else { return }
            try load(store, since: mustReadAll ? 0 : position.revision)
            mustReadAll = false
            stateIsRead()
        } catch {
            if stateWatch.reading.isPassing(error, at: Self.uptime) { return }
            // After an error of the state itself, the next call opens the state again. After other errors, such as a
            // missing key, the state stays open, so that the gateway can still write its row and events.
            if error is StateError { closeState() }
            lacksKey = error is KeyFailure
            stateFailed(Self.text(of: error))
        }
    }

    func waitForState() {
        guard !isWaiting else { return }
        isWaiting = true
        log.warning("there is no state '\(options.statePath)' yet: waiting until aegis-apply makes it")
        status.change { $0.isWaiting = true }
    }

    /// Tells the service manager that the gateway is running, although there is no state yet. Otherwise systemd would
    /// mistake a gateway that waits for the first apply for a hanging process, and end it.
    func tellOfWaiting(_ uptime: Int64) {
        guard isWaiting, !isToldOfWaiting, options.readyDescriptor == nil, status.current.phase == .starting,
            uptime >= startedAt + Self.patienceSeconds
        else { return }
        isToldOfWaiting = true
        tellStatus("waiting for the state '\(options.statePath)'", also: "READY=1\nMAINPID=\(getpid())\n")
    }

    /// Sends the service manager one line that says what the gateway does, or why it can't serve. `lines` are further
    /// lines of the notice, each with its line end.
    func tellStatus(_ text: String, also lines: String = "") {
        isStatusTold = true
        ServiceNotice.send(lines + "STATUS=" + text.split(whereSeparator: \.isNewline).joined(separator: " "))
    }

    /// How long to wait for a state before the service manager is told, in seconds.
    private static let patienceSeconds: Int64 = 3

    private func load(_ store: any StateStore, since revision: Int) throws {
        let started = ContinuousClock.now
        let sealer = try currentSealer(store)
        let directory = try store.directory() ?? "."
        let stored = try storedIdentities(store, sealer)
        var update = TableUpdate()
        let reached: StatePosition
        let problems = compiler.problems
        if revision == 0 {
            // Reading may fail halfway, so the new entries are compiled into a copy of the compiler.
            var compiler = compiler
            compiler.directory = FilePath(directory)
            // For revision 0 `readChanges` always returns a position.
            reached =
                try compiler.compile(sealer, &update, all: true, storedIdentity: stored) {
                    try store.readChanges(since: 0, $0)
                } ?? .start
            self.compiler = compiler
        } else {
            // Reading can fail, but compiling can't. So all changes are read first. Then the compiler is changed in
            // place, at a cost that depends only on the number of changes.
            var changes: [StateChange] = []
            guard let told = try store.readChanges(since: revision, { changes.append($0) }) else {
                return try load(store, since: 0)
            }
            reached = told
            compiler.directory = FilePath(directory)
            compiler.compile(sealer, &update, storedIdentity: stored) { changes.forEach($0) }
        }
        update.revision = reached.revision
        update.generation = reached.generation
        self.sealer = sealer
        readLists()
        keepVaults()
        tellOfProblems(compiler.problems, before: problems)
        tellOfTrust()
        heldChange = HeldChange(
            update: update, position: reached, directory: directory, started: started,
            names: askForNames(of: update), deadline: Self.uptime + HeldChange.longestSeconds)
        putHeldChangeInForce()
    }

    /// Puts the held change in force if its new revocation lists are parsed, and its upstreams' names are resolved or its
    /// deadline has passed.
    ///
    /// - Returns: Whether a change was put in force. If so, the caller looks for changes that arrived in the meantime.
    @discardableResult
    func putHeldChangeInForce() -> Bool {
        guard !isEnding, let change = heldChange,
            !compiler.materials.isReadingLists || Self.uptime >= change.deadline + HeldChange.longestSecondsForLists,
            change.names.allSatisfy({ resolutions[$0] != nil }) || Self.uptime >= change.deadline
        else { return false }
        heldChange = nil
        var update = change.update
        locateUpstreams(&update)
        prepare(change.directory)
        position = change.position
        stateWatch.inForce = StateFiles(path: options.statePath).database
        stateWatch.wasUnchangedAtClose = false
        startWorkers()
        guard !isEnding else { return false }
        update.settings = workerSettings()
        tellOfWorkerCount()
        for worker in workers { worker.mailbox.post(.update(update)) }
        tellAdmin(update)
        updateNodeAccess()
        applyListeners()
        nextRenewalLook = 0
        alerting.nextLook = 0
        let firstEnd = compiler.firstEnd()
        let expiries = compiler.certificates.count <= GatewayStatus.mostExpiries ? compiler.expiries : [:]
        status.change { status in
            status.reloads += 1
            status.sites = compiler.siteCount
            status.firstEnd = firstEnd
            status.expiries = expiries
        }
        let size = update.sites.count + update.certificates.count
        mustGiveBackMemory = mustGiveBackMemory || size >= IdleMemory.largeChange
        // A change of nothing that is served may be a request to renew a certificate, so a search is due now.
        if size == 0 { issuance.nextLook = 0 }
        log.info(
            "generation \(position.generation) is being put in force: \(size) hosts and certificates changed",
            [("revision", "\(position.revision)"), ("took", "\(ContinuousClock.now - change.started)")])
        return true
    }

    /// Returns the sealer for the state's key: the present one if its key is still in use, else a new one.
    ///
    /// - Throws: `KeyFailure` if the gateway's key is not that of the state.
    private func currentSealer(_ store: any StateStore) throws -> Sealer {
        let id = try store.setting(.sealingKeyID).map { String(decoding: $0, as: UTF8.self) }
        if let sealer, id == nil || sealer.key.id == id { return sealer }
        do {
            let key = try options.masterKey(store)
            if let id, key.id != id {
                throw KeyFailure("the state is sealed with another key: \(id), and this one is \(key.id)")
            }
            return Sealer(key: key)
        } catch let error as StateError {
            throw error
        } catch {
            let hint = "--key-file or AEGIS_SSL_KEY gives the key that aegis-apply seals the state with"
            throw KeyFailure("\(error); \(hint)")
        }
    }

    private func tellOfProblems(_ problems: [ItemID: String], before: [ItemID: String]) {
        let new = problems.filter { before[$0.key] != $0.value }
        guard !new.isEmpty else { return }
        for (id, reason) in new.sorted(by: { $0.key < $1.key }).prefix(20) {
            log.error("\(id.kind.rawValue) '\(id.name)' stays as it was: \(reason)")
        }
        let events = new.map { id, reason in
            AuditEvent(
                at: Self.now, actor: "gateway \(node.machine) \(node.process)", action: "load", item: id,
                failure: reason)
        }
        note(Array(events.prefix(StateDamage.mostEvents)))
        recordStateEvents()
    }

    /// Prepares the local CA and the access log for the settings that are put in force. Relative paths start at
    /// `directory`.
    private func prepare(_ directory: String) {
        let base = FilePath(directory)
        let cache =
            options.cacheDirectory.map { FilePath($0) } ?? base.pushing(FilePath(compiler.settings.cacheDirectory))
        if cache != fallbackDirectory {
            do {
                let authority = try LocalAuthority(directory: cache, now: Self.now)
                fallback = try FallbackSource(authority: authority.certificateAuthority)
                fallbackDirectory = cache
                localAuthority = (authority, nil)
                for worker in workers + [admin] { worker.mailbox.post(.fallback(fallback)) }
            } catch {
                log.error("the local CA in '\(cache)' can't be used; a temporary one stands in: \(error)")
            }
        }
        prepareAdminCertificate()
        setAccessLog(base)
    }

    /// Renews the admin listener's certificate, which the local CA issues, if needed. The certificate covers the
    /// machine's names and the listener's address.
    func prepareAdminCertificate() {
        guard let (authority, former) = localAuthority else { return }
        let address = compiler.settings.admin.address.address?.text
        let names = AdminHosts.names(of: node.machine) + [address].compactMap(\.self)
        do {
            let server = try authority.adminServer(for: names, now: Self.now)
            guard server.chain != former?.chain else { return }
            localAuthority = (authority, server)
            fallback.admin = try TLSCredential(chain: server.chain.certificates.map(\.der), key: server.key)
            admin.mailbox.post(.fallback(fallback))
        } catch {
            log.error("the admin listener's certificate can't be made: \(error)")
        }
    }

    /// Called when all workers have put the present revision in force.
    func inForce() {
        guard status.current.position != position else { return }
        let position = position
        let isReady = listenFailures.isEmpty
        let wasReady = status.current.phase == .ready
        status.change { status in
            status.position = position
            if isReady, status.phase == .starting { status.phase = .ready }
        }
        log.info("generation \(position.generation) is in force", [("revision", "\(position.revision)")])
        if !listenFailures.isEmpty, listening.values.allSatisfy(\.isAdmin) {
            log.error("no host is served: no address can be listened at; the gateway tries again each second")
        }
        if mustGiveBackMemory {
            mustGiveBackMemory = false
            IdleMemory.giveBack()
        }
        if isReady, !wasReady { becameReady() }
        reportNode()
    }

    /// Called when the gateway first serves the whole configuration.
    func becameReady() {
        ServiceNotice.send("READY=1\nMAINPID=\(getpid())" + (isStatusTold ? "\nSTATUS=serving" : ""))
        if let descriptor = options.readyDescriptor {
            // This is safe, since `write` reads one byte of a constant text.
            _ = unsafe write(descriptor, "1", 1)
            _ = close(descriptor)
        }
        sockets.closeUnused()
    }

    /// The present problems. The most serious problems come first.
    private var troubles: [GatewayNode.Trouble] {
        let serving =
            [loadFailure].compactMap(\.self) + listenFailures.values.sorted()
            + [accessLogFailure, accessLogTrouble.reason.map { "the access log \($0)" }].compactMap(\.self)
        let items = compiler.problems.sorted { $0.key < $1.key }.map { id, reason in
            GatewayNode.Trouble("\(id.kind.rawValue) '\(id.name)': \(reason)", item: id)
        }
        let materials = compiler.materials
        let identities = materials.identityFailures.merging(materials.expired(now: Self.now)) { $1 }
        return serving.map { GatewayNode.Trouble($0) } + items
            + compiler.trustFailures.sorted().map { GatewayNode.Trouble($0) }
            + identities.sorted { $0.key < $1.key }.map { name, text in
                GatewayNode.Trouble(text, item: ItemID(.identity, name))
            }
            + [nodeFailure].compactMap(\.self).map { GatewayNode.Trouble($0, item: ItemID(single: .node)) }
    }

    /// Writes this gateway's row into the state, so that aegis-apply sees what the gateway serves.
    func reportNode() {
        nextHeartbeat = Self.uptime + GatewayNode.heartbeatSeconds
        let troubles = troubles
        status.change { $0.problems = troubles.count }
        guard store != nil else { return }
        var row = node
        let current = status.current
        row.heartbeatAt = Self.now
        row.position = current.position
        row.phase = current.phase
        row.problems = troubles.count
        row.lastProblem = troubles.first?.text
        row.troubles = Array(troubles.prefix(GatewayNode.mostTroubles))
        do {
            // If writing the row fails, the next heartbeat tries again.
            try writeState { (store) throws(StateError) in try store.report(row) }
            recordStateEvents()
            stateWatch.writing.ended()
            if status.current.reportFailure != nil { log.info("the state can be written again") }
            status.change { $0.reportFailure = nil }
        } catch {
            if stateWatch.writing.isPassing(error, at: Self.uptime) {
                nextHeartbeat = Self.uptime + 1
                return
            }
            let reason = "\(error)"
            if status.current.reportFailure != reason {
                log.error("this gateway can't report what it serves, so others consider it dead: \(reason)")
            }
            status.change { $0.reportFailure = reason }
        }
    }
}

/// A change of the state that was read but is not in force yet. The change waits for new revocation lists to be parsed,
/// since their hosts would answer no handshake before that. It also waits for the names of new upstreams to be resolved,
/// so that the first request finds an address, but not for long, since a name server may be silent.
struct HeldChange {
    /// The longest time that a change waits for names, in seconds.
    static let longestSeconds: Int64 = 3
    /// How much longer a change waits for revocation lists, in seconds: one that is replaced again and again is parsed again
    /// and again.
    static let longestSecondsForLists: Int64 = 60

    var update: TableUpdate
    let position: StatePosition
    let directory: String
    let started: ContinuousClock.Instant
    /// The host names of the change's new upstreams.
    let names: Set<String>
    /// From this time on the change does not wait for names. In seconds of the monotonic clock.
    let deadline: Int64
}

/// The state's key can't be read, or is not the key that sealed the state.
struct KeyFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
