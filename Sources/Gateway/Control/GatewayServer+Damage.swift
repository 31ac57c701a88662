import State

/// What the control side knows of the state's files, and of what is wrong with them.
struct StateWatch {
    /// After a check the next one waits for so many times as long as it has taken, and a moment at least.
    static let restFactor: Int64 = 20
    static let leastRestMilliseconds: Int64 = 100
    /// How often a state that is damaged is checked again though its files look the same, in milliseconds.
    static let retryMilliseconds: Int64 = 5000

    /// The files that the open store reads.
    var opened: StateFiles?
    /// A store that was let go of, as long as a thread has it, and the database that it reads.
    weak var former: (any StateStore)?
    var formerDatabase: StateFiles.File?
    /// The files at the start of the last check.
    var checked: StateFiles?
    var isChecking = false
    /// When the next check may begin, and when it begins though nothing looks new, in milliseconds of the monotonic clock.
    var nextCheck: Int64 = 0
    var nextRetry: Int64 = 0
    /// Whether the last check has found damage. Nothing is read from the state until one finds none.
    var isDamaged = false
    /// Whether that was told.
    var isTold = false
    /// The database as it was when the state was last put in force.
    var inForce: StateFiles.File?
    /// Where a state stands that has lost its latest commits.
    var lost: StatePosition?
    /// What can't be told in the state before it can be written again, oldest first.
    var events: [AuditEvent] = []
    /// Others that have it locked while it is to be read, and written.
    var reading = LockWatch()
    var writing = LockWatch()

    /// How long the control side waits each time for others that have the state locked, in milliseconds: it is to hear of
    /// signals meanwhile.
    static let controlPatience = 250
    /// How long others wait, which have threads of their own, in milliseconds.
    static let jobPatience = 10_000
}

/// Tells a state that others are just writing to from one that they keep locked.
struct LockWatch {
    /// How long a lock is taken for one that passes, in seconds.
    static let patienceSeconds: Int64 = 5

    private var since: Int64?

    /// The state could be used.
    mutating func ended() { since = nil }

    /// Whether an error only says that the state is locked, and has not been for long. `uptime` is in seconds.
    mutating func isPassing(_ error: any Error, at uptime: Int64) -> Bool {
        guard case .busy? = error as? StateError else { return false }
        let begin = since ?? uptime
        since = begin
        return uptime - begin < Self.patienceSeconds
    }
}

/// What came of looking a state through.
struct StateCheck: Sendable {
    /// Its files before.
    let files: StateFiles
    /// In milliseconds of the monotonic clock.
    let startedAt: Int64
    /// What is damaged, and what to do.
    var failure: String?
    /// Whether it is at an earlier revision than the one that was in force then.
    var hasGoneBack = false
}

extension GatewayServer {
    /// Looks at the state's files, and has them checked for damage when something but commits has been written to them.
    ///
    /// - Returns: Whether the state may be read.
    func stateMayBeRead() -> Bool {
        let files = StateFiles(path: options.statePath)
        // Another database in its place, a restored one say, has another history.
        if let opened = stateWatch.opened, !files.areStill(opened) { closeState() }
        if files.database?.bytes == 0, !stateWatch.isDamaged {
            stateWatch.checked = files
            stateIsDamaged(Self.text(of: StateError.unreadable(path: options.statePath, reason: "the file is empty")))
        }
        startCheck(files)
        // Commits only make it longer.
        if let length = files.wal?.bytes, length > stateWatch.checked?.wal?.bytes ?? 0 {
            stateWatch.checked?.wal = files.wal
        }
        return !stateWatch.isDamaged
    }

    private func startCheck(_ files: StateFiles) {
        let now = Self.monotonicMilliseconds
        let looksNew = stateWatch.checked.map { files.mayBeDamaged(since: $0) } ?? (store != nil)
        guard !stateWatch.isChecking, files.database != nil, now >= stateWatch.nextCheck,
            looksNew || stateWatch.isDamaged && now >= stateWatch.nextRetry
        else { return }
        stateWatch.isChecking = true
        let (events, openState, revision) = (events, options.openState, position.revision)
        NamedThread("state-check") {
            var check = StateCheck(files: files, startedAt: now)
            do {
                // Opened for this: what another connection holds in memory would hide damage on disk.
                if let store = try openState(StateWatch.jobPatience) {
                    try store.check()
                    check.hasGoneBack = try store.position().revision < revision
                }
            } catch {
                check.failure = Self.text(of: error)
            }
            events.post(.stateChecked(check))
        }.start()
    }

    /// Takes what came of a check.
    func take(_ check: StateCheck) {
        let now = Self.monotonicMilliseconds
        stateWatch.isChecking = false
        stateWatch.checked = check.files
        let rest = max((now - check.startedAt) * StateWatch.restFactor, StateWatch.leastRestMilliseconds)
        stateWatch.nextCheck = now + rest
        let wasOpen = store != nil
        if let failure = check.failure {
            // Only what is wrong without us is damage: as long as a connection is open, SQLite believes what it remembers of
            // the files. So it is checked again at once.
            stateIsDamaged(wasOpen ? nil : failure)
            stateWatch.nextRetry = now + (wasOpen ? 0 : StateWatch.retryMilliseconds)
            if wasOpen { stateWatch.nextCheck = now }
        } else {
            stateWatch.isDamaged = false
            if check.hasGoneBack { closeState() }
        }
        startJobs()
    }

    /// Reads nothing more from the state until a check finds nothing. The first cause is told: what comes later may come
    /// from closing it.
    private func stateIsDamaged(_ failure: String?) {
        closeState()
        stateWatch.isDamaged = true
        guard let failure, !stateWatch.isTold else { return }
        stateWatch.isTold = true
        stateFailed(failure)
    }

    /// Whether the state can be opened afresh: SQLite shares what it remembers of a database's files among all connections
    /// of a process, so those that have believed in other files have to be closed first.
    func mayOpenState() -> Bool {
        guard !stateWatch.isChecking, !stateWatch.isDamaged else { return false }
        guard stateWatch.former != nil, let former = stateWatch.formerDatabase,
            let present = StateFiles(path: options.statePath).database
        else { return true }
        return !present.isSameFile(as: former)
    }

    /// Lets go of the state. What is in force stays so.
    func closeState() {
        stateWatch.former = issuance.store
        stateWatch.formerDatabase = stateWatch.opened?.database
        store = nil
        mustReadAll = true
        issuance.store = nil
        issuance.sources = nil
        stateWatch.opened = nil
    }

    /// Tells of a state that can't be read, once for each reason.
    func stateFailed(_ reason: String) {
        status.change { $0.failedReloads += 1 }
        guard reason != loadFailure else { return }
        let stays = position == .start ? "nothing is served" : "what was in force stays"
        log.error("the state can't be taken in, and \(stays): \(reason)")
        note(reason)
        loadFailure = reason
        status.change { $0.stateFailure = reason }
    }

    /// Tells that the state can be read.
    func stateIsRead() {
        guard loadFailure != nil else { return }
        log.info("the state can be read again")
        note(nil)
        loadFailure = nil
        stateWatch.isTold = false
        status.change { $0.stateFailure = nil }
    }

    /// There is nothing to read.
    func stateIsMissing() {
        guard position == .start else {
            return stateFailed("there is no state '\(options.statePath)' any more; \(StateWatch.missingHint)")
        }
        waitForState()
    }

    /// Whether a state is only a part of what is in force: it has gone back, though nobody has written to its file. Then its
    /// -wal file has lost what it held. Somebody has to say what is to be served, by a commit or by another file.
    func hasLostCommits(at latest: StatePosition) -> Bool {
        if latest.revision < position.revision, let inForce = stateWatch.inForce,
            StateFiles(path: options.statePath).database == inForce, stateWatch.lost == nil
        {
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

    /// Keeps for the events what has befallen the state; nil: it is well again.
    private func note(_ failure: String?) {
        let event = AuditEvent(
            at: Self.now, actor: "gateway \(node.machine) \(node.process)",
            action: failure == nil ? "read the state again" : "read the state", item: ItemID(.gateway, "gateway"),
            failure: failure)
        note([event])
    }

    /// Keeps events until they can be put into the state.
    func note(_ events: [AuditEvent]) {
        stateWatch.events = Array((stateWatch.events + events).suffix(StateWatch.mostEvents))
    }

    /// Puts events into the state that have waited for it.
    func recordStateEvents() {
        guard let store, loadFailure == nil, !stateWatch.events.isEmpty else { return }
        if (try? store.record(events: stateWatch.events)) != nil { stateWatch.events = [] }
    }

    /// What went wrong with the state, and what to do about it.
    static func text(of error: any Error) -> String {
        (error as? StateError)?.hint.map { "\(error); \($0)" } ?? "\(error)"
    }
}

extension StateWatch {
    fileprivate static let missingHint = "put it back, restore it from a backup, or run aegis-apply"
    static let mostEvents = 1000
}
