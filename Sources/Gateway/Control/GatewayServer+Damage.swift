import State

/// What the control side knows of the state's files, and of damage to the state.
struct StateDamage {
    /// The pause before the next check for damage is this many times as long as the last check, but at least
    /// `leastRestMilliseconds`.
    static let restFactor: Int64 = 20
    static let leastRestMilliseconds: Int64 = 100
    /// How often to check a damaged state again while its files look unchanged, in milliseconds.
    static let retryMilliseconds: Int64 = 5000

    /// The state's files that the open store reads.
    var opened: StateFiles?
    /// A store that the control side has closed but another thread may still use, and the database file that the store
    /// reads.
    weak var former: (any StateStore)?
    var formerDatabase: StateFiles.File?
    /// The state's files at the start of the last check.
    var checked: StateFiles?
    var wal = WALWatch()
    var isChecking = false
    /// The earliest time of the next check. At `nextRetry` a damaged state is checked again even if its files look
    /// unchanged. Both times are in milliseconds of the monotonic clock.
    var nextCheck: Int64 = 0
    var nextRetry: Int64 = 0
    /// Whether the last check found damage. If so, nothing is read from the state until a later check finds none.
    var isDamaged = false
    /// Whether the log has reported the damage since the state was last read.
    var isTold = false
    /// The database file at the moment when the state was last put in force.
    var inForce: StateFiles.File?
    /// Whether the database file still equalled `inForce` when the gateway last closed the state. Closing moves the
    /// rest of the -wal file into the database file. So if the file was unchanged then, later differences come from the
    /// gateway itself.
    var wasUnchangedAtClose = false
    /// The position of a state that has lost its latest commits. Nil if no commits were lost.
    var lost: StatePosition?
    /// The events that wait until the state can be written again, oldest first.
    var events: [AuditEvent] = []
    /// Watches for locks of other processes. `reading` is for locks that keep the gateway from reading the state,
    /// `writing` for locks that keep it from writing.
    var reading = LockWatch()
    var writing = LockWatch()

    /// How long the control side waits for another process's lock on the state, in milliseconds. The time is short,
    /// since the control side handles no signals meanwhile.
    static let controlPatience = 250
    /// How long other threads, such as certificate jobs, wait for another process's lock on the state, in milliseconds.
    static let jobPatience = 10_000
}

/// Distinguishes a lock that lasts for one write from a lock that stays. Only a lock that stays is reported.
struct LockWatch {
    /// How long a lock may last before it is reported, in seconds.
    static let patienceSeconds: Int64 = 5

    private var since: Int64?

    /// Called when the state could be used, which shows that no other process has locked it.
    mutating func ended() { since = nil }

    /// Whether the error only means that another process has locked the state, for less than `patienceSeconds` so far.
    /// `uptime` is in seconds of the monotonic clock.
    mutating func isPassing(_ error: any Error, at uptime: Int64) -> Bool {
        guard case .busy? = error as? StateError else { return false }
        let begin = since ?? uptime
        since = begin
        return uptime - begin < Self.patienceSeconds
    }
}

struct StateCheck: Sendable {
    /// The state's files as they were before the check.
    let files: StateFiles
    /// The start of the check, in milliseconds of the monotonic clock.
    let startedAt: Int64
    /// Describes the damage and gives advice. Nil if there is no damage.
    var failure: String?
    /// Whether the state's revision is lower than the revision that was in force when the check started.
    var hasGoneBack = false
}

extension GatewayServer {
    /// Looks at the state's files. Starts a check for damage if the files have changed and a commit does not explain
    /// the change.
    ///
    /// - Returns: Whether the state may be read.
    func stateMayBeRead() -> Bool {
        let files = StateFiles(path: options.statePath)
        // The store still reads the old database, but another database is now at the path, for example a restored one.
        if let opened = stateWatch.opened, !files.areStill(opened) { closeState() }
        if files.database?.isEmpty == true, !stateWatch.isDamaged {
            stateWatch.checked = files
            stateIsDamaged(Self.text(of: StateError.unreadable(path: options.statePath, reason: "the file is empty")))
        }
        if let store { stateWatch.wal.look(at: options.statePath, store) }
        startCheck(files)
        // The greatest length of the -wal file is noted. A commit never shortens the file, so if the file is shorter
        // later, the state is checked.
        if let length = files.wal?.bytes, length > stateWatch.checked?.wal?.bytes ?? 0 {
            stateWatch.checked?.wal = files.wal
        }
        return !stateWatch.isDamaged
    }

    private func startCheck(_ files: StateFiles) {
        let now = Self.monotonicMilliseconds
        let looksNew =
            stateWatch.wal.isOverwritten || stateWatch.checked.map { files.mayBeDamaged(since: $0) } ?? (store != nil)
        guard !stateWatch.isChecking, files.database != nil, now >= stateWatch.nextCheck,
            looksNew || stateWatch.isDamaged && now >= stateWatch.nextRetry
        else { return }
        stateWatch.isChecking = true
        stateWatch.wal.isOverwritten = false
        let (events, openState, revision) = (events, options.openState, position.revision)
        NamedThread("state-check") {
            var check = StateCheck(files: files, startedAt: now)
            do {
                // The check opens a connection of its own, since an open connection would not read its cached pages
                // from the disk again.
                if let store = try openState(StateDamage.jobPatience) {
                    try store.check()
                    check.hasGoneBack = try store.position().revision < revision
                }
            } catch {
                check.failure = Self.text(of: error)
            }
            events.post(.stateChecked(check))
        }.start()
    }

    /// Handles the result of a check: closes a damaged state, or allows the state to be read again.
    func stateChecked(_ check: StateCheck) {
        let now = Self.monotonicMilliseconds
        stateWatch.isChecking = false
        stateWatch.checked = check.files
        let rest = max((now - check.startedAt) * StateDamage.restFactor, StateDamage.leastRestMilliseconds)
        stateWatch.nextCheck = now + rest
        let wasOpen = store != nil
        if let failure = check.failure {
            // Damage is certain only if it was found while no store was open, since SQLite trusts the cached data of an
            // open connection. If a store was open, the store is closed here, and the check is repeated at once.
            stateIsDamaged(wasOpen ? nil : failure)
            stateWatch.nextRetry = now + (wasOpen ? 0 : StateDamage.retryMilliseconds)
            if wasOpen { stateWatch.nextCheck = now }
        } else {
            stateWatch.isDamaged = false
            if check.hasGoneBack { closeState() }
        }
        startJobs()
    }

    /// Stops reading the state until a check finds no damage. Only the first cause is reported, since closing the store
    /// may cause further errors. `failure` is nil while the damage is not confirmed.
    private func stateIsDamaged(_ failure: String?) {
        closeState()
        stateWatch.isDamaged = true
        guard let failure, !stateWatch.isTold else { return }
        stateWatch.isTold = true
        stateFailed(failure)
    }

    /// Whether the state may be opened now. All connections of this process to a database file share cached data in
    /// SQLite. So the state is opened only after all connections to a damaged file were closed.
    func mayOpenState() -> Bool {
        guard !stateWatch.isChecking, !stateWatch.isDamaged else { return false }
        guard stateWatch.former != nil, let former = stateWatch.formerDatabase,
            let present = StateFiles(path: options.statePath).database
        else { return true }
        return !present.isSameFile(as: former)
    }

    /// Closes the state. The configuration in force stays in use.
    func closeState() {
        stateWatch.wasUnchangedAtClose = isAsPutInForce
        stateWatch.former = issuance.store
        stateWatch.formerDatabase = stateWatch.opened?.database
        stateWatch.wal.forget()
        store = nil
        mustReadAll = true
        issuance.store = nil
        issuance.sources = nil
        vaultDesk.lend(nil)
        stateWatch.opened = nil
    }

    /// Counts a failed reload. The reason is logged unless it is the same as that of the last failure.
    func stateFailed(_ reason: String) {
        status.change { $0.failedReloads += 1 }
        guard reason != loadFailure else { return }
        let stays = position == .start ? "nothing is served" : "the former configuration stays in force"
        log.error("the state can't be put in force, and \(stays): \(reason)")
        note(reason)
        loadFailure = reason
        tellStatus(reason)
        status.change { $0.stateFailure = reason }
    }

    func stateIsRead() {
        guard loadFailure != nil else { return }
        log.info("the state can be read again")
        note(nil)
        loadFailure = nil
        stateWatch.isTold = false
        if status.current.phase == .ready { tellStatus("serving") }
        status.change { $0.stateFailure = nil }
    }

    /// Before the first state is read, a missing state is normal and the gateway waits. After that, a missing state is
    /// a failure.
    func stateIsMissing() {
        guard position == .start else {
            return stateFailed("there is no state '\(options.statePath)' any more; \(StateDamage.missingHint)")
        }
        waitForState()
    }

    /// Whether the state's revision is lower than the revision in force although the database file is unchanged. This
    /// means that the -wal file has lost commits. The configuration in force stays until there is another commit or
    /// another database file.
    func hasLostCommits(at latest: StatePosition) -> Bool {
        if latest.revision < position.revision, isAsPutInForce, stateWatch.lost == nil {
            stateWatch.lost = latest
            mustReadAll = true
        }
        guard stateWatch.lost == latest else {
            stateWatch.lost = nil
            return false
        }
        stateFailed(
            "the state '\(options.statePath)' has lost its latest changes: it is at revision \(latest.revision), and"
                + " \(position.revision) is in force; run aegis-apply, or restore the state")
        return true
    }

    /// Whether the database file is the file that was put in force, and no other process has changed this file since.
    private var isAsPutInForce: Bool {
        guard let inForce = stateWatch.inForce, let database = StateFiles(path: options.statePath).database else {
            return false
        }
        return database == inForce || stateWatch.wasUnchangedAtClose && database.isSameFile(as: inForce)
    }

    /// Queues an audit event. `failure` is the reason why the state can't be read; nil means that the state can be read
    /// again.
    private func note(_ failure: String?) {
        let event = AuditEvent(
            at: Self.now, actor: "gateway \(node.machine) \(node.process)",
            action: failure == nil ? "read the state again" : "read the state", item: ItemID(.gateway, "gateway"),
            failure: failure)
        note([event])
    }

    /// The events wait until the state can be written. If too many wait, the oldest are dropped.
    func note(_ events: [AuditEvent]) {
        stateWatch.events = Array((stateWatch.events + events).suffix(StateDamage.mostEvents))
    }

    func recordStateEvents() {
        guard loadFailure == nil, !stateWatch.events.isEmpty else { return }
        let events = stateWatch.events
        if (try? writeState { (store) throws(StateError) in try store.record(events: events) }) ?? false {
            stateWatch.events = []
        }
    }

    /// Writes to the state if the store is open, and returns whether it is open. The control side must make all its
    /// writes through this function; otherwise `stateWatch` would mistake them for damage.
    @discardableResult
    func writeState(_ body: (any StateStore) throws(StateError) -> Void) throws(StateError) -> Bool {
        guard let store else { return false }
        try stateWatch.wal.write(to: options.statePath, store) { () throws(StateError) in try body(store) }
        return true
    }

    /// A `StateError` may have a hint, which is added to the text.
    static func text(of error: any Error) -> String {
        (error as? StateError)?.hint.map { "\(error); \($0)" } ?? "\(error)"
    }
}

extension StateDamage {
    fileprivate static let missingHint = "put it back, restore it from a backup, or run aegis-apply"
    static let mostEvents = 1000
}
