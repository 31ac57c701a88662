import ConfigModel
import Dispatch
import Glibc
import Issuers
import Materials
import PKI
import State
import Synchronization
import SystemPackage

// Gateway: the data plane and the control side.
//
// `Worker/` is the data plane: by default one thread for each processor, with its own event loop (`EventLoop/`),
// buffers (`Buffers/`), tables (`Routing/`) and connections. `Control/` is one thread. It follows the state, prepares
// each change for the workers, and sends it to them by message. It also owns the listening sockets, resolves names,
// schedules health checks, and handles signals. `Observability/` has metrics and logs, `Admin/` the admin listener.

package struct GatewayOptions: Sendable {
    /// Opens the state. Returns nil if there is no state yet. When another process has locked the state, each use of
    /// the store waits at most `patienceMilliseconds`.
    package var openState: @Sendable (_ patienceMilliseconds: Int) throws -> (any StateStore)?
    /// The path of the state's database file, which the gateway watches for changes.
    package var statePath: String
    /// Returns the key that seals the state's secrets. The key may be in the state itself, so the closure gets the
    /// store.
    package var masterKey: @Sendable (any StateStore) throws -> MasterKey
    /// Answers requests to the admin API; nil if there is no API.
    package var adminService: (any AdminService)?
    /// The directory of the local CA's files. Nil means that the configuration names the directory.
    package var cacheDirectory: String?
    /// How long open requests may take to finish after the gateway was told to end, in milliseconds.
    package var drainMilliseconds: Int64 = 30_000
    /// Listening sockets that systemd or the earlier process passed to this process.
    package var inheritedSockets: [Int32] = []
    /// The write end of a pipe to the earlier process. A byte in the pipe reports that this process is ready.
    package var readyDescriptor: Int32?
    /// The command line that starts a successor: the program and its arguments.
    package var program: [String] = []
    package var version = ""
    package var log: EventLog

    package init(
        statePath: String, log: EventLog, openState: @escaping @Sendable (Int) throws -> (any StateStore)?,
        masterKey: @escaping @Sendable (any StateStore) throws -> MasterKey
    ) {
        self.statePath = statePath
        self.log = log
        self.openState = openState
        self.masterKey = masterKey
    }
}

/// The control side of the gateway. All its properties are used only on the thread that calls `run`.
package final class GatewayServer {
    let options: GatewayOptions
    let log: EventLog
    let events: Mailbox<ControlEvent>
    let reports: Mailbox<WorkerReport>
    let status = GatewayStatus()
    let signals: SignalDescriptor
    let resolver: Resolver
    let node: GatewayNode
    let holder = LeaseHolder.current()

    var store: (any StateStore)?
    var sealer: Sealer?
    var compiler = StateCompiler(machine: SystemName.machine)
    var position = StatePosition.start
    var workers: [WorkerHandle] = []
    var admin: WorkerHandle
    var sockets: ListeningSockets
    var tickets: TicketKeys
    var fallback: FallbackSource
    var fallbackDirectory: FilePath?
    /// The local CA and the admin listener's certificate. Nil until the local CA can be used. Until then a temporary CA
    /// issues certificates.
    var localAuthority: (authority: LocalAuthority, admin: LocalAuthority.Server?)?
    var accessLog: AccessLogHold?
    /// The path that `accessLog` was opened for.
    var accessLogPath: String?
    /// The sinks that still write: the sink of `accessLog`, and former sinks whose requests have not ended.
    var accessLogSinks: [AccessLogSink] = []
    var accessLogTarget = AccessLogTarget()
    var accessLogFailure: String?
    /// Watches an open access log for failed writes and lost lines.
    var accessLogTrouble = AccessLogTrouble()
    var listening: [String: Listening] = [:]
    var retiring: [String: Retiring] = [:]
    var listenFailures: [String: String] = [:]
    /// A change that waits for revocation lists or for names of upstreams. No later change is read while it waits.
    var heldChange: HeldChange?
    /// The latest revision that each worker has put in force. The key is the worker's number.
    var appliedRevisions: [Int: Int] = [:]
    var loadFailure: String?
    var stateWatch = StateDamage()
    var refusals = InlineArray<3, RefusalAllowance>(repeating: RefusalAllowance())
    var nodeAccess: NodeAccess?
    /// Why the node listener's present settings can't be carried out; nil if they can.
    var nodeFailure: String?
    /// The logged warnings about identities and hosts. `toldFailures` are the logged reasons why files and identities
    /// can't be used. Both are kept so that no line is logged twice.
    var toldWarnings: Set<String> = []
    var toldFailures: Set<String> = []
    var lacksKey = false
    /// Whether the log says that there is no state yet. `isToldOfWaiting` says whether the service manager knows too.
    var isWaiting = false
    var isToldOfWaiting = false
    /// Whether the service manager has a status line, which must be replaced when it is no longer true.
    var isStatusTold = false
    let startedAt = GatewayServer.uptime
    /// Whether a large change was read. When the change is in force, memory that is no longer used goes back to the
    /// system.
    var mustGiveBackMemory = false
    /// Whether the next read covers the whole state, not only the changes.
    var mustReadAll = true
    var health: [UpstreamNumber: HealthState] = [:]
    var resolvedAt: [String: Int64] = [:]
    var resolutions: [String: Resolver.Answer] = [:]
    /// The names that are being resolved, and the names that wait for a thread of the resolver.
    var namesUnderWay: Set<String> = []
    /// The host names of upstreams that a worker could not reach. These names are resolved again sooner than other
    /// names.
    var urgentNames: Set<String> = []
    var nextHeartbeat: Int64 = 0
    var nextRotation: Int64 = 0
    var nextRenewalLook: Int64 = 0
    /// The number of workers for which the log already says that a restart is needed.
    var toldWorkerCount: Int?
    /// The limits on client connections that were logged last.
    var toldBudget: DescriptorBudget?
    var drained = 0
    var drainDeadline: Int64?
    var successor: Successor?
    var issuance = Issuance()
    let vaultDesk: VaultExchange
    /// The running keepers, by the Vault's name.
    var vaultKeepers: [String: (keeper: VaultKeeper, work: VaultKeeper.Work)] = [:]
    /// Reports changes of the files by which peers are verified, such as CA files. Nil if the system has no inotify
    /// instance left. Then changes are seen within a second.
    let fileWatch = try? DirectoryWatch()
    /// The `placesVersion` of the files that `fileWatch` follows.
    var followedPlaces = 0
    /// When an event of `fileWatch` may be handled, in milliseconds of the monotonic clock. Without this limit, a
    /// program that writes a file again and again would keep this thread busy.
    private var nextFileEvent: Int64 = 0
    private var areFilesTouched = false
    /// Nil until there are revocation lists.
    var listReader: ListReader?
    var alerting = Alerting()
    let metrics = MetricsSource()
    var isEnding = false
    /// What `run` returns when the gateway ends.
    var exitCode: Int32 = 0
    /// Whether a signal has already asked the gateway to end. A second such signal ends the gateway at once.
    private var isToldToEnd = false

    package init(_ options: GatewayOptions) throws {
        // The state's library uses libdispatch. libdispatch ends the process if no descriptor is free at its first use.
        // So the first use is here, while descriptors are free.
        DispatchQueue.global().asyncAfter(deadline: .now()) {}
        self.options = options
        log = options.log
        events = try Mailbox()
        reports = try Mailbox()
        signals = try SignalDescriptor([SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGQUIT])
        let events = events
        vaultDesk = VaultExchange { events.post(.identityDelivered) }
        resolver = try Resolver { events.post(.resolved($0)) }
        sockets = ListeningSockets(inherited: options.inheritedSockets)
        tickets = try TicketKeys()
        // A temporary CA issues the fallback certificates until the state names the directory of the local CA.
        let now = Int64(time(nil))
        fallback = try FallbackSource(
            authority: CertificateAuthority.makeRoot(
                commonName: "Aegis Temporary CA", now: now, lifetimeSeconds: 86_400))
        node = GatewayNode(
            id: GatewayNode.makeID(), machine: SystemName.machine, process: Int(getpid()),
            version: options.version, startedAt: now, heartbeatAt: now)
        status.change { ($0.startedAt, $0.version) = (now, options.version) }
        admin = try WorkerHandle(number: -1, reports: reports)
        try startAdmin()
    }

    /// Serves until a signal ends the gateway.
    ///
    /// - Returns: The exit code: 0 after an orderly end, 1 if the key does not open the state at the start, or there
    ///   are too few descriptors to serve.
    package func run() -> Int32 {
        startWatching()
        reload()
        // At the start nothing is served yet. So a wrong key ends the process, and the operator sees why. If the key is
        // wrong later, the configuration in force stays.
        if lacksKey {
            end()
            return 1
        }
        listenWithoutState()
        while !isEnding || drained < workers.count || issuance.awaitsAnswer(uptime: Self.uptime) {
            wait()
            tick()
            if let drainDeadline, Self.uptime >= drainDeadline {
                tellOfCut()
                break
            }
        }
        end()
        return exitCode
    }

    static var now: Int64 { Int64(time(nil)) }

    private func startWatching() {
        let (path, events) = (FilePath(options.statePath), events)
        NamedThread("state-watch") {
            // `StateWatcher` fails if no descriptor is free. That does little harm, since the control side reads the
            // state every second anyway.
            guard let watcher = try? StateWatcher(path: path) else { return }
            while watcher.wait() != .stopped { events.post(.stateTouched) }
        }.start()
    }

    private func wait() {
        var descriptors = [events.descriptor, reports.descriptor, signals.descriptor].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        // poll(2) ignores negative descriptors.
        let mayTakeFileEvent = Self.monotonicMilliseconds >= nextFileEvent
        let fileEvents = mayTakeFileEvent ? fileWatch?.descriptor ?? -1 : -1
        descriptors.append(pollfd(fd: fileEvents, events: Int16(POLLIN), revents: 0))
        if let successor { descriptors.append(pollfd(fd: successor.ready, events: Int16(POLLIN), revents: 0)) }
        // A signal or a message ends the wait early. Otherwise it ends when the next second begins, which `tick`
        // awaits.
        let rest = compiler.filesAreChanging || !mayTakeFileEvent ? 100 : 1000 - Self.monotonicMilliseconds % 1000
        Poll.wait(for: &descriptors, milliseconds: Int32(rest))
        if descriptors[3].revents != 0, fileWatch?.drain() == true {
            areFilesTouched = true
            nextFileEvent = Self.monotonicMilliseconds + 100
        }
        let drained = events.drain()
        var (isTouched, isDelivered) = (false, false)
        var lists: [ListFiles.Reading] = []
        for event in drained {
            switch event {
            case .stateTouched: isTouched = true
            case .stateChecked(let check):
                stateChecked(check)
                isTouched = true
            case .retired: closeRetired()
            case .resolved(let answer): nameResolved(answer)
            case .certificateDone(let name, let outcome): certificateDone(name, outcome)
            case .adviceTaken(let directory): adviceTaken(from: directory)
            case .identityDelivered: isDelivered = true
            case .listsRead(let reading): lists.append(reading)
            case .revocationsDone: issuance.isRevoking = false
            case .packsFollowed: issuance.isFollowing = false
            case .webhookCalled: alerting.called()
            }
        }
        // One look for all, since each look concerns all files.
        if isDelivered || !lists.isEmpty { lookAtFiles(lists: lists) }
        if putHeldChangeInForce() || isTouched {
            reload()
            settleWaits()
        }
        for report in reports.drain() { handle(report) }
        // The successor's pipe is read before signals are handled. Otherwise a signal to end the gateway would also end
        // a successor that has just become ready.
        if descriptors.count > 4, descriptors[4].revents != 0 { successorSpoke() }
        while let signal = signals.next() { handle(signal: signal) }
    }

    private var lastTick: Int64 = 0
    private var idleMemory = IdleMemory()
    /// When each shortage may be logged again, in seconds of the monotonic clock. Without this limit, shortages would
    /// fill the log. The key nil stands for connections that can't be accepted.
    var nextComplaints: [Shortage?: Int64] = [:]
    /// How long before the end of a drain the workers tell WebSockets to close, in seconds.
    private static let closingSeconds: Int64 = 5

    private func tick() {
        let now = Self.uptime
        if now != lastTick || compiler.filesAreChanging || areFilesTouched { lookAtFiles() }
        areFilesTouched = false
        guard now != lastTick else { return }
        lastTick = now
        if let drainDeadline, now >= drainDeadline - Self.closingSeconds {
            for worker in workers { worker.mailbox.post(.closeTunnels) }
        }
        for worker in workers + [admin] { worker.mailbox.post(.tick) }
        putHeldChangeInForce()
        // The file watcher may miss a change. If nothing has changed, this call only reads the state's position, which
        // is cheap.
        reload()
        tellOfWaiting(now)
        if now >= nextHeartbeat { reportNode() }
        if now >= nextRotation { rotateTickets(now) }
        resolveNames(now)
        checkHealth(now)
        settleWaits()
        if let renewAt = localAuthority?.admin?.renewAt, Self.now >= renewAt { prepareAdminCertificate() }
        maintain()
        keepVaults()
        lookAtRenewals(now)
        lookAtExpiries(now)
        retryListening()
        watchAccessLog(now)
        checkSuccessor()
        if idleMemory.shouldReturn(connections: workers.reduce(0) { $0 + $1.metrics.openConnections }) {
            IdleMemory.giveBack()
        }
    }

    private func rotateTickets(_ now: Int64) {
        if nextRotation > 0, let rotated = try? tickets.rotated() {
            tickets = rotated
            for worker in workers + [admin] { worker.mailbox.post(.tickets(tickets)) }
        }
        nextRotation = now + Int64(TicketKeys.rotationSeconds)
    }

    // MARK: Signals and the end

    private func handle(signal: Int32) {
        switch signal {
        case SIGHUP:
            log.info("reading the state again and reopening logs")
            reopenAccessLog()
            lookAtFiles(isForced: true)
            lookAtVaults()
            mustReadAll = true
            reload()
        case SIGUSR2: startSuccessor()
        case SIGQUIT:
            endSuccessor(by: signal)
            drainDeadline = 0
            isEnding = true
        default:
            if isToldToEnd {
                drainDeadline = 0
                return
            }
            isToldToEnd = true
            endSuccessor(by: signal)
            log.info("ending: requests under way have \(options.drainMilliseconds / 1000) s")
            // If the gateway is already draining, it has handed over to a successor. Its requests keep their deadline.
            guard isEnding else { return drain(handedOver: false) }
            for worker in workers { worker.mailbox.post(.closeTunnels) }
        }
    }

    /// Stops accepting connections. The gateway ends when the open connections have closed, or at the deadline.
    func drain(handedOver: Bool) {
        isEnding = true
        stopVaults()
        drainDeadline = Self.uptime + (options.drainMilliseconds + 999) / 1000
        status.change { $0.phase = .draining }
        ServiceNotice.send(handedOver ? "STATUS=handed over" : "STOPPING=1")
        reportNode()
        for worker in workers {
            worker.mailbox.post(.drain(handedOver: handedOver))
            // After a handover, WebSockets stay open until shortly before the deadline, since they can't move to the
            // new process.
            if !handedOver { worker.mailbox.post(.closeTunnels) }
        }
        if handedOver { admin.mailbox.post(.stopListening(Array(listening.keys) + retiring.keys)) }
    }

    /// Logs how many connections are cut off at the end of a drain.
    private func tellOfCut() {
        let open = workers.reduce(0) { $0 + $1.metrics.openConnections }
        if open > 0 { log.warning("the time to drain is over: \(open) connections are cut off") }
    }

    private func end() {
        for worker in workers + [admin] { worker.mailbox.post(.stop) }
        resolver.end()
        for worker in workers + [admin] { worker.wait() }
        endAccessLog()
        try? store?.removeNode(node.id)
        log.info("ended")
    }
}
