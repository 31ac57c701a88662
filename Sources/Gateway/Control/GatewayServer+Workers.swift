import ConfigModel
import Glibc
import PKI
import Synchronization

extension GatewayServer {
    /// Starts the admin listener's worker. Requests there never hold up a client's, and the other way round.
    func startAdmin() throws {
        let (handle, fallback, tickets, status) = (admin, fallback, tickets, status)
        let metrics = MetricsSource()
        self.metrics = metrics
        let handler = AdminHandler(hosts: AdminHosts(machine: node.machine)) { path in
            let current = status.current
            switch path {
            case "/healthz": return AdminAnswer(body: Array("ok\n".utf8))
            case "/readyz":
                // A state that can't be read takes no gateway out of service: all would go that share it, and what is in
                // force is served on. The body tells people.
                let lines = [current.phase.rawValue, current.stateFailure, current.reportFailure].compactMap(\.self)
                let body = lines.reduce("") { $0 + $1 + "\n" }
                return AdminAnswer(status: current.phase == .ready ? 200 : 503, body: Array(body.utf8))
            case "/metrics":
                let facts = MetricsText.Facts(
                    workers: metrics.workers, status: current, traffic: metrics.traffic.current, usage: .current)
                return AdminAnswer(type: .metrics, body: Array(MetricsText.write(facts).utf8))
            default: return nil
            }
        }
        let settings = WorkerSettings()
        handle.start {
            WorkerSetup(
                mailbox: handle.mailbox, reports: handle.reports, metrics: handle.metrics,
                connections: ConnectionCounts(), settings: settings, tickets: tickets, fallback: fallback,
                adminHandler: handler)
        }
    }

    /// Listens for admin requests at the default address as long as no state names another.
    func listenWithoutState() {
        if workers.isEmpty, heldChange == nil { listen(at: compiler.settings.admin, .admin) }
    }

    /// Starts the workers, once: how many there are is a matter of the first state.
    func startWorkers() {
        guard workers.isEmpty else { return }
        let count = compiler.settings.workers ?? SystemName.processors
        let (fallback, tickets) = (fallback, tickets)
        let settings = WorkerSettings(compiler.settings)
        let (connections, identity) = (ConnectionCounts(), node.id)
        for number in 0..<count {
            guard let handle = try? WorkerHandle(number: number, reports: reports) else { continue }
            handle.start {
                WorkerSetup(
                    mailbox: handle.mailbox, reports: handle.reports, metrics: handle.metrics,
                    connections: connections, settings: settings, tickets: tickets, fallback: fallback,
                    identity: identity)
            }
            if let accessLog { handle.mailbox.post(.accessLog(accessLog, accessLogTarget.format)) }
            workers.append(handle)
        }
        metrics.workers = workers.map(\.metrics)
    }

    /// Says that another number of workers waits for another process.
    func tellOfWorkerCount() {
        let wanted = compiler.settings.workers ?? SystemName.processors
        guard wanted != workers.count, wanted != toldWorkerCount else { return }
        toldWorkerCount = wanted
        log.warning(
            "there are \(workers.count) workers: \(wanted) take over with the next start, or upgrade by SIGUSR2")
    }

    /// The admin worker checks upstreams' health, so it knows them, but no host.
    func tellAdmin(_ update: TableUpdate) {
        var part = TableUpdate()
        part.revision = update.revision
        part.upstreams = update.upstreams
        part.places = update.places
        part.removedUpstreams = update.removedUpstreams
        admin.mailbox.post(.update(part))
    }

    // MARK: Listeners

    /// Listens where the settings say, and nowhere else.
    func applyListeners() {
        var wanted: [String: (ListenAddress, ListenerRole)] = [:]
        for address in compiler.settings.http { wanted[address.text] = (address, .http) }
        for address in compiler.settings.https { wanted[address.text] = (address, .https) }
        wanted[compiler.settings.admin.text] = (compiler.settings.admin, .admin)
        let gone = listening.filter { wanted[$0.key]?.1 != $0.value }.map(\.key)
        if !gone.isEmpty {
            for worker in workers + [admin] { worker.mailbox.post(.stopListening(gone)) }
            for address in gone {
                listening[address] = nil
                sockets.forget(address)
                log.info("no longer listening at \(address)")
            }
        }
        listenFailures = listenFailures.filter { wanted[$0.key] != nil }
        for (address, role) in wanted.values.sorted(by: { $0.0.text < $1.0.text })
        where listening[address.text] == nil {
            listen(at: address, role)
        }
    }

    private func listen(at address: ListenAddress, _ role: ListenerRole) {
        let targets = role == .admin ? [admin] : workers
        do {
            let descriptors = try sockets.listen(at: address, workers: targets.count)
            for (index, descriptor) in descriptors.enumerated() {
                let target = targets[min(index, targets.count - 1)]
                target.mailbox.post(.listen(Listener(descriptor: descriptor, role: role, address: address.text)))
            }
            listening[address.text] = role
            if listenFailures.removeValue(forKey: address.text) != nil || true {
                log.info("listening at \(address.text)", [("for", "\(role)")])
            }
        } catch {
            let reason = "can't listen at \(address.text): \(SystemFailure.text(error.code))"
            if listenFailures[address.text] != reason { log.error(reason) }
            listenFailures[address.text] = reason
        }
    }

    /// Tries addresses again that could not be had.
    func retryListening() {
        guard !listenFailures.isEmpty, !workers.isEmpty else { return }
        applyListeners()
        guard listenFailures.isEmpty, status.current.phase == .starting,
            status.current.position == position
        else {
            return
        }
        status.change { $0.phase = .ready }
        becameReady()
        reportNode()
    }
}

/// Whose metrics are shown: workers come after the admin listener.
final class MetricsSource: Sendable {
    private let list = Mutex<[WorkerMetrics]>([])
    let traffic = TrafficTotals()

    var workers: [WorkerMetrics] {
        get { list.withLock { $0 } }
        set { list.withLock { $0 = newValue } }
    }
}
