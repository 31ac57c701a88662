import ConfigModel
import Glibc
import HTTP1
import PKI
import State

/// One thread of the data plane, with its own event loop, listeners, connections, tables and memory. While requests are
/// served, the only changing objects that workers share are the counts of connections, the mailboxes and the access
/// log's sink. The control side changes a worker by messages (`WorkerMessage`).
///
/// The parts of a worker are in `Worker+….swift`. A connection passes through `+Listeners`, `+Handshake`, `+Clients`,
/// `+Requests`, `+Proxying`, `+Upstreams` and `+Responses`. Only the worker's own thread may use a worker.
final class Worker {
    let number: Int
    let mailbox: Mailbox<WorkerMessage>
    let reports: Mailbox<WorkerReport>
    let metrics: WorkerMetrics
    let connections: ConnectionCounts

    let poller: Poller
    let clients: Slab<ClientConnection>
    let upstreams: Slab<UpstreamConnection>
    let exchanges: Slab<Exchange>
    let memory: WorkerMemory
    let tables: WorkerTables

    // By default Swift checks at each use of a property that nothing else is changing the property. The check costs
    // instructions, so `unchecked` turns it off. This is safe: only one thread uses a worker, and no call that changes
    // such a property in place calls back into the worker.
    @safe @exclusivity(unchecked) var wheel: TimerWheel
    @safe @exclusivity(unchecked) var requestHead = RequestHead()
    @safe @exclusivity(unchecked) var responseHead = ResponseHead()
    @safe @exclusivity(unchecked) var requestTrailers = TrailerFields(of: .request)
    @safe @exclusivity(unchecked) var responseTrailers = TrailerFields(of: .response)
    /// Who sent the request in `requestHead`, according to a trusted proxy. While a request waits for its body, other
    /// requests are read, and `sender` and `requestHead` then belong to one of them.
    @safe @exclusivity(unchecked) var sender = RequestSender()
    @safe @exclusivity(unchecked) var settings: WorkerSettings
    @safe @exclusivity(unchecked) var clock: LoopClock
    @safe @exclusivity(unchecked) var random: RequestIDSource

    /// Connections that could continue at once, but first let other connections have their turn.
    @safe @exclusivity(unchecked) private var queue: [Token] = []
    @safe @exclusivity(unchecked) private var turn: [Token] = []
    /// The clients whose TLS handshakes wait for their turn.
    @safe @exclusivity(unchecked) private var handshakes = TokenQueue()
    @safe @exclusivity(unchecked) private var dueTimers: [(token: Token, tick: Int64)] = []

    let serverTLS: TLSServerContext
    /// The TLS sessions of connections to upstreams.
    let sessions = TLSSessionCache()
    var listeners: [Listener] = []
    /// The clients whose handshakes wait for a certificate. The key is the name of the certificate, which the worker has
    /// requested. Some clients may no longer exist. No client waits while another certificate covers the host's name.
    var awaitingCertificate: [String: [SlotID]] = [:]
    /// Whether accepting connections is paused for a moment, since there is no descriptor or place for another one.
    var isAcceptingPaused = false
    /// The client that gets the next place. Accepting is paused until then.
    var postponedClient: AcceptedClient?
    /// Where the last search for a connection to close has ended. The next search continues there.
    var clientHand: UInt32 = 0
    var upstreamHand: UInt32 = 0
    var accessLogs = AccessLogBuffers()
    var adminHandler: AdminHandler?
    /// The largest access that clients of the admin API may have, whatever their tokens allow.
    var apiAccess = AdminListener.API.write
    /// Which clients may use the node listener; nil if none may.
    var nodeAccess: NodeAccess?
    /// The gateway's ID in the state, which is part of the answers to checks by aegis-apply (`GatewayProbe`).
    let identity: String?
    var reportAllowance = reportsASecond
    /// How many more refused certificates of each kind may be reported in this second.
    var refusalAllowances = InlineArray<3, Int>(repeating: RefusalAllowance.most)
    /// The shortages that were reported in this second.
    var toldShortages: Set<Shortage> = []
    /// How many bytes of request bodies the worker keeps, because they are being collected or may be sent again.
    var collectedBytes = 0
    /// The exchanges whose answers continue until their clients leave. Only the admin worker has such.
    var streamExchanges: [SlotID] = []
    /// Whether the worker accepts no more connections, and ends when its last connection has ended.
    var isDraining = false
    /// Whether the gateway is ending. If so, each WebSocket gets a close frame after the present frame.
    var isClosingTunnels = false
    /// When the clients of tunnels must be checked again, in seconds since 1970: a certificate may have expired by
    /// then.
    var tunnelsProvenUntil = Int64.max
    private var isStopped = false

    init(number: Int, setup: WorkerSetup) throws {
        self.number = number
        mailbox = setup.mailbox
        reports = setup.reports
        metrics = setup.metrics
        connections = setup.connections
        settings = setup.settings
        adminHandler = setup.adminHandler
        identity = setup.identity
        poller = try Poller()
        clients = Slab(maximum: 1 << 20)
        upstreams = Slab(maximum: 1 << 20)
        exchanges = Slab(maximum: 1 << 20)
        memory = WorkerMemory(headBytes: HeadLimits.largest)
        clock = LoopClock()
        wheel = TimerWheel(now: clock.milliseconds)
        tables = WorkerTables(fallback: setup.fallback)
        random = RequestIDSource()
        serverTLS = try TLSServerContext(tickets: setup.tickets)
        try poller.addLevelTriggered(mailbox.descriptor, Token(.mailbox))
    }

    // MARK: The loop

    /// Serves until the worker is told to stop, or until it has drained.
    func run() {
        while !isStopped {
            var heardUntil: Int64?
            let isIdle = queue.isEmpty && handshakes.isEmpty
            poller.wait(milliseconds: isIdle ? wheel.sleepMilliseconds(now: clock.milliseconds) : 0) {
                clock.update()
                heardUntil = heardUntil ?? clock.milliseconds
                handle($0, $1)
            }
            clock.update()
            runTurns()
            continueHandshakes()
            // This round may have taken long, and bytes that arrived meanwhile are not read yet. Clients that sent such
            // bytes are not late. So the timers use the time at the start of the round.
            fireTimers(now: heardUntil ?? clock.milliseconds)
            sendFrames()
            accessLogs.current?.flushIfDue(clock.milliseconds)
            if isDraining, clients.count == 0 { finishDraining() }
        }
        accessLogs.flush()
        reportTraffic()
    }

    private func handle(_ token: Token, _ readiness: Readiness) {
        switch token.kind {
        case .client: if let id = token.element(in: clients) { clientEvent(id, readiness) }
        case .upstream: if let id = token.element(in: upstreams) { upstreamEvent(id, readiness) }
        case .listener: acceptClients(at: Int(token.index))
        case .mailbox: for message in mailbox.drain() { handle(message) }
        case .worker, nil: break
        }
    }

    func stop() { isStopped = true }

    /// Queues a client's connection. It continues after the other connections have had their turn.
    func enqueue(client id: SlotID) {
        guard !clients[id].isQueued else { return }
        clients[id].isQueued = true
        queue.append(Token(.client, id))
    }

    /// Queues an upstream's connection. It continues after the other connections have had their turn.
    func enqueue(upstream id: SlotID) {
        guard !upstreams[id].isQueued else { return }
        upstreams[id].isQueued = true
        queue.append(Token(.upstream, id))
    }

    /// Queues a client's handshake. It continues after the open connections have had their turn.
    func enqueue(handshake id: SlotID) {
        guard !clients[id].isQueued else { return }
        clients[id].isQueued = true
        clients[id].timeLeft = clients[id].deadline.milliseconds - clock.milliseconds
        handshakes.append(Token(.client, id))
    }

    /// The largest number of TLS handshakes that continue in one round. A signature takes as long as twenty requests,
    /// so more handshakes in a round would delay all connected clients.
    private static let handshakesARound = 2

    private func continueHandshakes() {
        var count = 0
        while count < Self.handshakesARound, let token = handshakes.popFirst() {
            guard let id = token.element(in: clients) else { continue }
            count += 1
            clients[id].isQueued = false
            continueQueuedHandshake(id)
        }
    }

    private func runTurns() {
        guard !queue.isEmpty else { return }
        swap(&queue, &turn)
        for token in turn {
            switch token.kind {
            case .client:
                guard let id = token.element(in: clients) else { continue }
                clients[id].isQueued = false
                continueClient(id)
            case .upstream:
                guard let id = token.element(in: upstreams) else { continue }
                upstreams[id].isQueued = false
                pumpUpstream(id)
            default: break
            }
        }
        turn.removeAll(keepingCapacity: true)
    }

    private func fireTimers(now: Int64) {
        wheel.advance(to: now, &dueTimers)
        guard !dueTimers.isEmpty else { return }
        for (token, tick) in dueTimers {
            switch token.kind {
            case .client:
                guard let id = token.element(in: clients) else { continue }
                if clients[id].deadline.isDue(entryAt: tick, now: now, for: token, in: &wheel) {
                    clientTimedOut(id)
                }
            case .upstream:
                guard let id = token.element(in: upstreams) else { continue }
                if upstreams[id].deadline.isDue(entryAt: tick, now: now, for: token, in: &wheel) {
                    upstreamTimedOut(id)
                }
            case .listener: resumeAccepting()
            default: break
            }
        }
        dueTimers.removeAll(keepingCapacity: true)
    }

    // MARK: Deadlines

    func setDeadline(client id: SlotID, inMilliseconds time: Int64) {
        clients[id].deadline.set(clock.milliseconds + time, for: Token(.client, id), in: &wheel)
    }

    func setDeadline(upstream id: SlotID, inMilliseconds time: Int64) {
        upstreams[id].deadline.set(clock.milliseconds + time, for: Token(.upstream, id), in: &wheel)
    }

    // MARK: Reports

    /// The largest number of reports in a second. Further reports are only counted in the metrics.
    static let reportsASecond = 100

    /// Sends the control side an event that operators should know of.
    func report(_ report: @autoclosure () -> WorkerReport) {
        guard reportAllowance > 0 else {
            metrics.add(.suppressedReports, 1)
            return
        }
        reportAllowance -= 1
        reports.post(report())
    }

    /// Reports a refused certificate of a peer, but only some of each kind in a second. Peers can cause any number of
    /// refusals, so these have allowances of their own. The metrics count all of them.
    func report(_ refusal: PeerRefusal, of role: PeerRole, host: String, peer: @autoclosure () -> String) {
        let kind = RefusalKind(refusal, of: role).rawValue
        guard refusalAllowances[kind] > 0 else { return }
        refusalAllowances[kind] -= 1
        reports.post(.peerRefused(role, host: host, peer: peer(), refusal))
    }

    /// Reports a shortage, at most once a second. Every new connection may cause such a report, so the report does not
    /// count against `reportAllowance`.
    func report(_ shortage: Shortage, client: PeerAddress? = nil) {
        guard toldShortages.insert(shortage).inserted else { return }
        reports.post(.short(shortage, client: client?.description ?? ""))
    }
}

/// The time at which the present event, or the present round of turns, began. The clock is read once for each event,
/// not for each request.
struct LoopClock {
    /// Milliseconds of the monotonic clock.
    private(set) var milliseconds: Int64 = 0
    /// Nanoseconds of the monotonic clock.
    private(set) var nanoseconds: UInt64 = 0
    /// Seconds since 1970.
    private(set) var seconds: Int64 = 0
    /// The line of the Date field (RFC 9110 section 5.6.7), with its CRLF. It has 37 bytes.
    private(set) var dateLine: [UInt8] = []

    init() { update() }

    mutating func update() {
        var time = timespec()
        // This is safe, since `clock_gettime` only fills `time`. `SystemClock` is not used, which saves a call each
        // time.
        _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        nanoseconds = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        milliseconds = Int64(nanoseconds / 1_000_000)
        _ = unsafe clock_gettime(CLOCK_REALTIME_COARSE, &time)
        guard Int64(time.tv_sec) != seconds else { return }
        seconds = Int64(time.tv_sec)
        dateLine = Array("Date: \(UTCTime.http(seconds))\r\n".utf8)
    }
}
