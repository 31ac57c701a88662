import ConfigModel
import Dispatch
import Glibc
import Issuers
import PKI
import State
import Synchronization
import SystemPackage

// Gateway: the data plane and its control side.
//
// `Worker/` is the data plane: a thread a core, each with an event loop of its own (`EventLoop/`), buffers (`Buffers/`),
// tables (`Routing/`) and connections. `Control/` is one thread that follows the state, makes of each change what workers
// serve, and tells them by message; it owns the listening sockets, resolves names, checks health, and answers to signals.
// `Observability/` counts and logs, `Admin/` answers on the admin listener.

/// What a gateway is started with.
package struct GatewayOptions: Sendable {
    /// Opens the state; nil when there is none yet. Each use of it waits for others that have it locked, for so many
    /// milliseconds at most.
    package var openState: @Sendable (_ patienceMilliseconds: Int) throws -> (any StateStore)?
    /// The state's file, which is watched.
    package var statePath: String
    /// The key that the state is sealed with, for a state that may keep one itself.
    package var masterKey: @Sendable (any StateStore) throws -> MasterKey
    /// Where the local CA's files are; nil for what the configuration says.
    package var cacheDirectory: String?
    /// How long requests may take to end when the gateway does, in milliseconds.
    package var drainMilliseconds: Int64 = 30_000
    /// Sockets that were handed over, by systemd or by an earlier process.
    package var inheritedSockets: [Int32] = []
    /// Where to say that listeners are up, by one byte; for the process that handed its sockets over.
    package var readyDescriptor: Int32?
    /// How to start a process of a new version: its program, and the arguments of this one.
    package var program: [String] = []
    /// The program's version.
    package var version = ""
    /// Where to log.
    package var log: EventLog

    /// Options.
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

/// What the control side hears of.
enum ControlEvent: Sendable {
    /// The state may have changed.
    case stateTouched
    /// The state was checked for damage.
    case stateChecked(StateCheck)
    /// Addresses that others have taken the place of can be closed.
    case retired
    /// A name was looked up.
    case resolved(Resolver.Answer)
    /// A certificate was obtained, or could not be.
    case certificateDone(name: String, CertificateJob.Outcome)
    /// CAs were asked when they would have certificates renewed.
    case adviceTaken
    /// What others have taken the place of was revoked, as far as it could be.
    case revocationsDone
    /// Certificate packs were looked at.
    case packsFollowed
}

/// The control side. Runs on the thread that calls `run`; everything here is confined to it.
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
    var compiler = StateCompiler()
    var position = StatePosition.start
    var workers: [WorkerHandle] = []
    var admin: WorkerHandle
    var sockets: ListeningSockets
    var tickets: TicketKeys
    var fallback: FallbackSource
    var fallbackDirectory: FilePath?
    /// The local CA, where it can be used, and what the admin listener shows.
    var localAuthority: (authority: LocalAuthority, admin: LocalAuthority.Server?)?
    var accessLog: AccessLogSink?
    var accessLogTarget = AccessLogTarget()
    /// Why the access log can't be opened.
    var accessLogFailure: String?
    /// Why it loses lines.
    var accessLogTrouble = AccessLogTrouble()
    var listening: [String: Listening] = [:]
    var retiring: [String: Retiring] = [:]
    var listenFailures: [String: String] = [:]
    /// What waits for names of upstreams to be looked up. Nothing later is read meanwhile.
    var heldChange: HeldChange?
    /// Who has yet to put a revision in force.
    var pendingWorkers: [Int: Int] = [:]
    var loadFailure: String?
    var stateWatch = StateWatch()
    /// Whether the state could not be opened for want of its key.
    var lacksKey = false
    /// Whether it was said that there is no state, and whether the service manager knows.
    var isWaiting = false
    var isToldOfWaiting = false
    let startedAt = GatewayServer.uptime
    /// Whether reading a large change has left much memory behind.
    var mustGiveBackMemory = false
    /// Whether not only changes are to be read.
    var mustReadAll = true
    var health: [UpstreamNumber: HealthState] = [:]
    var resolvedAt: [String: Int64] = [:]
    var resolutions: [String: Resolver.Answer] = [:]
    /// The names that are being looked up.
    var namesUnderWay: Set<String> = []
    /// The names of upstreams that no connection could be made to.
    var urgentNames: Set<String> = []
    var nextHeartbeat: Int64 = 0
    var nextRotation: Int64 = 0
    var nextRenewalLook: Int64 = 0
    /// The number of workers that was last told to be another one.
    var toldWorkerCount: Int?
    /// How many connections clients were last said to have.
    var toldBudget: DescriptorBudget?
    var drained = 0
    var drainDeadline: Int64?
    var successor: Successor?
    var issuance = Issuance()
    var metrics = MetricsSource()
    var isEnding = false
    /// Whether a signal has said so; another one ends it at once.
    private var isToldToEnd = false

    /// A gateway that has not begun to serve.
    package init(_ options: GatewayOptions) throws {
        // libdispatch, which the state's library uses, ends the process when it finds no descriptors at its first use.
        DispatchQueue.global().asyncAfter(deadline: .now()) {}
        self.options = options
        log = options.log
        events = try Mailbox()
        reports = try Mailbox()
        signals = try SignalDescriptor([SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGQUIT])
        let events = events
        resolver = try Resolver { events.post(.resolved($0)) }
        sockets = ListeningSockets(inherited: options.inheritedSockets)
        tickets = try TicketKeys()
        // Until the state says where the local CA is: one that nobody keeps.
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

    /// Serves until it is told to end.
    ///
    /// - Returns: The exit code: 0 after an orderly end, 1 when the key does not open the state that there is at the start.
    package func run() -> Int32 {
        startWatching()
        reload()
        // Nothing is served yet, and whoever starts it sees why. Later on what was in force would go.
        if lacksKey {
            end()
            return 1
        }
        listenWithoutState()
        while !isEnding || drained < workers.count {
            wait()
            tick()
            if let drainDeadline, Self.uptime >= drainDeadline {
                tellOfCut()
                break
            }
        }
        end()
        return 0
    }

    /// The time in seconds since 1970.
    static var now: Int64 { Int64(time(nil)) }

    private func startWatching() {
        let (path, events) = (FilePath(options.statePath), events)
        NamedThread("state-watch") {
            // Without a free descriptor, the look each second has to do.
            guard let watcher = try? StateWatcher(path: path) else { return }
            while watcher.wait() != .stopped { events.post(.stateTouched) }
        }.start()
    }

    private func wait() {
        var descriptors = [events.descriptor, reports.descriptor, signals.descriptor].map {
            pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        if let successor { descriptors.append(pollfd(fd: successor.ready, events: Int16(POLLIN), revents: 0)) }
        // A signal or a message ends the wait; a second is the longest that anything here may be late.
        _ = unsafe poll(&descriptors, nfds_t(descriptors.count), 1000)
        let taken = events.take()
        var isTouched = false
        for event in taken {
            switch event {
            case .stateTouched: isTouched = true
            case .stateChecked(let check):
                take(check)
                isTouched = true
            case .retired: closeRetired()
            case .resolved(let answer): take(answer)
            case .certificateDone(let name, let outcome): certificateDone(name, outcome)
            case .adviceTaken: adviceTaken()
            case .revocationsDone: issuance.isRevoking = false
            case .packsFollowed: issuance.isFollowing = false
            }
        }
        if putHeldChangeInForce() || isTouched {
            reload()
            settleWaits()
        }
        for report in reports.take() { take(report) }
        // First, so that a signal to end finds a successor that serves already on its own.
        if descriptors.count > 3, descriptors[3].revents != 0 { successorSpoke() }
        while let signal = signals.take() { take(signal: signal) }
    }

    private var lastTick: Int64 = 0
    private var idleMemory = IdleMemory()
    /// When what clients may have none of is told of again: it comes again and again.
    var nextComplaints: [Shortage?: Int64] = [:]
    /// How long before the end of a drain WebSockets are told to close, in seconds.
    private static let closingSeconds: Int64 = 5

    private func tick() {
        let now = Self.uptime
        guard now != lastTick else { return }
        lastTick = now
        if let drainDeadline, now >= drainDeadline - Self.closingSeconds {
            for worker in workers { worker.mailbox.post(.closeTunnels) }
        }
        for worker in workers + [admin] { worker.mailbox.post(.tick) }
        putHeldChangeInForce()
        // The safety net under the watcher: one cheap look.
        reload()
        tellOfWaiting(now)
        if now >= nextHeartbeat { reportNode() }
        if now >= nextRotation { rotateTickets(now) }
        resolveNames(now)
        checkHealth(now)
        settleWaits()
        if let renewAt = localAuthority?.admin?.renewAt, Self.now >= renewAt { prepareAdminCertificate() }
        maintain()
        lookAtRenewals(now)
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

    // MARK: Workers' reports

    private func take(_ report: WorkerReport) {
        switch report {
        case .applied(let worker, let revision):
            pendingWorkers[worker] = revision
            if workers.allSatisfy({ (pendingWorkers[$0.number] ?? 0) >= position.revision }) { inForce() }
        case .upstreamFailed(let host, let upstream, let reason, let requestID):
            log.error(
                "no answer from \(upstream): \(reason)",
                [("host", host), ("upstream", upstream), ("request_id", requestID)])
        case .upstreamUnreachable(let number): upstreamUnreachable(number)
        case .upstreamEjected(let upstream, let seconds):
            log.warning(
                "\(upstream) has failed \(UpstreamPool.failuresToEject) times in a row and is left out for \(seconds) s"
            )
        case .certificateFailed(let name, let reason):
            log.error("the certificate '\(name)' can't be used: \(reason)")
        case .certificateWanted(let name): certificateWanted(name)
        case .traffic(let report): metrics.traffic.add(report)
        case .acceptFailed(let code):
            if mayComplain(of: nil) { log.error("no connection can be accepted: \(SystemFailure.text(code))") }
        case .short(let shortage, let client):
            if mayComplain(of: shortage) { tell(of: shortage, client: client) }
        case .health(let upstream, let isHealthy, let reason):
            takeHealth(upstream, isHealthy, reason)
        case .drained(let worker):
            if worker >= 0 { drained += 1 }
        }
    }

    // MARK: The end

    private func take(signal: Int32) {
        switch signal {
        case SIGHUP:
            log.info("reading the state anew and reopening logs")
            reopenAccessLog()
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
            // One that was handed over is ending already, and its requests keep their time.
            guard isEnding else { return drain(handedOver: false) }
            for worker in workers { worker.mailbox.post(.closeTunnels) }
        }
    }

    /// Takes no new connections, and ends when those there are done.
    func drain(handedOver: Bool) {
        isEnding = true
        drainDeadline = Self.uptime + (options.drainMilliseconds + 999) / 1000
        status.change { $0.phase = .draining }
        ServiceNotice.send(handedOver ? "STATUS=handed over" : "STOPPING=1")
        reportNode()
        for worker in workers {
            worker.mailbox.post(.drain(handedOver: handedOver))
            // WebSockets that another process can't take over live on until the time is almost up.
            if !handedOver { worker.mailbox.post(.closeTunnels) }
        }
        if handedOver { admin.mailbox.post(.stopListening(Array(listening.keys) + retiring.keys)) }
    }

    /// Says how many connections the end of a drain cuts off.
    private func tellOfCut() {
        let open = workers.reduce(UInt64(0)) { count, worker in
            let (accepted, closed) = (
                worker.metrics.value(.connectionsAccepted), worker.metrics.value(.connectionsClosed)
            )
            return count + (accepted > closed ? accepted - closed : 0)
        }
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
