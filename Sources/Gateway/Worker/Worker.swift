import ConfigModel
import Glibc
import HTTP1
import PKI
import State

/// One thread of the data plane, with its own event loop, listeners, connections, tables and memory. While requests are
/// served, workers share and lock only the count of connections, mailboxes and the access log's sink. The control side
/// changes a worker by messages (`WorkerMessage`).
///
/// The parts of the worker are in `Worker+….swift`. A connection passes through `+Listeners`, `+Handshake`, `+Clients`,
/// `+Requests`, `+Proxying`, `+Upstreams` and `+Responses`. Confined to its thread.
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

    // Swift would check at each use of these properties that no other access is changing the same property. The check
    // costs instructions and can't fail: only one thread uses a worker, and no call that changes such a property in
    // place calls back into the worker. So `unchecked` turns the check off, which is `@safe` here.
    @safe @exclusivity(unchecked) var wheel: TimerWheel
    @safe @exclusivity(unchecked) var requestHead = RequestHead()
    @safe @exclusivity(unchecked) var responseHead = ResponseHead()
    /// What a trusted proxy says about the client of the request in `requestHead`. While a request waits for its body,
    /// other heads are read: afterwards `sender` and `requestHead` may belong to another request.
    @safe @exclusivity(unchecked) var sender = RequestSender()
    @safe @exclusivity(unchecked) var settings: WorkerSettings
    @safe @exclusivity(unchecked) var clock: LoopClock
    @safe @exclusivity(unchecked) var random: RequestIDSource

    /// Connections that could continue at once but let others go first.
    @safe @exclusivity(unchecked) private var queue: [Token] = []
    @safe @exclusivity(unchecked) private var turn: [Token] = []
    /// The clients whose TLS handshakes can continue.
    @safe @exclusivity(unchecked) private var handshakes = TokenQueue()
    @safe @exclusivity(unchecked) private var dueTimers: [(token: Token, tick: Int64)] = []

    let serverTLS: TLSServerContext
    var listeners: [Listener] = []
    /// The clients whose handshakes wait for a certificate, by the certificate's name. Some clients may be gone.
    var awaitingCertificate: [String: [SlotID]] = [:]
    /// Whether accepting is paused, because no connection can be accepted.
    var isAcceptingPaused = false
    /// The indices at which the last searches for connections to close have ended.
    var clientHand: UInt32 = 0
    var upstreamHand: UInt32 = 0
    var accessLog: AccessLogBuffer?
    var adminHandler: AdminHandler?
    /// The gateway's ID in the state.
    let identity: String?
    var reportAllowance = reportsASecond
    /// The shortages reported in this second.
    var toldShortages: Set<Shortage> = []
    /// How many bytes of request bodies are held, because they are being collected or may be sent again.
    var collectedBytes = 0
    /// Whether the worker accepts no connections and ends when the open ones are done.
    var isDraining = false
    /// Whether the gateway is ending, so that WebSockets get a close frame at the next frame boundary.
    var isClosingTunnels = false
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
            takeTurns()
            goOnWithHandshakes()
            // If this round took long, bytes that arrived meanwhile are still unread. Their senders must not be treated
            // as late, so the earlier time is used.
            fireTimers(now: heardUntil ?? clock.milliseconds)
            accessLog?.flushIfDue(clock.milliseconds)
            if isDraining, clients.count == 0 { finishDraining() }
        }
        accessLog?.flush()
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

    /// Queues a client's connection, which continues after others have had their turn.
    func enqueue(client id: SlotID) {
        guard !clients[id].isQueued else { return }
        clients[id].isQueued = true
        queue.append(Token(.client, id))
    }

    /// Queues an upstream's connection, which continues after others have had their turn.
    func enqueue(upstream id: SlotID) {
        guard !upstreams[id].isQueued else { return }
        upstreams[id].isQueued = true
        queue.append(Token(.upstream, id))
    }

    /// Queues a client's TLS handshake, which continues after the open connections have had their turn.
    func enqueue(handshake id: SlotID) {
        guard !clients[id].isQueued else { return }
        clients[id].isQueued = true
        handshakes.append(Token(.client, id))
    }

    /// The most TLS handshakes that continue in one round. A signature takes as long as twenty requests, so more
    /// handshakes at once would delay all connected clients.
    private static let handshakesARound = 2

    private func goOnWithHandshakes() {
        var count = 0
        while count < Self.handshakesARound, let token = handshakes.popFirst() {
            guard let id = token.element(in: clients) else { continue }
            count += 1
            clients[id].isQueued = false
            takeHandshakeTurn(id)
        }
    }

    private func takeTurns() {
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

    /// The most reports in a second. Further ones are only counted.
    static let reportsASecond = 100

    /// Reports an event that operators should know of to the control side.
    func report(_ report: @autoclosure () -> WorkerReport) {
        guard reportAllowance > 0 else {
            metrics.add(.suppressedReports, 1)
            return
        }
        reportAllowance -= 1
        reports.post(report())
    }

    /// Reports a shortage, at most once a second. A shortage may occur with every connection, so its reports do not use
    /// the allowance of other reports.
    func report(_ shortage: Shortage, client: PeerAddress? = nil) {
        guard toldShortages.insert(shortage).inserted else { return }
        reports.post(.short(shortage, client: client?.description ?? ""))
    }
}

/// The time of the last batch of events. The clock is read once for each batch, not for each request.
struct LoopClock {
    /// The monotonic clock in milliseconds.
    private(set) var milliseconds: Int64 = 0
    /// The monotonic clock in nanoseconds.
    private(set) var nanoseconds: UInt64 = 0
    /// The time in seconds since 1970.
    private(set) var seconds: Int64 = 0
    /// The Date field for this second with its CRLF (RFC 9110 section 5.6.7): 37 bytes.
    private(set) var dateLine: [UInt8] = []

    init() { update() }

    mutating func update() {
        var time = timespec()
        // `clock_gettime` fills `time`. It is called without `SystemClock`, since this is done for each round of
        // events.
        _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        nanoseconds = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        milliseconds = Int64(nanoseconds / 1_000_000)
        _ = unsafe clock_gettime(CLOCK_REALTIME_COARSE, &time)
        guard Int64(time.tv_sec) != seconds else { return }
        seconds = Int64(time.tv_sec)
        dateLine = Array("Date: \(UTCTime.http(seconds))\r\n".utf8)
    }
}
