import ConfigModel
import Glibc
import PKI
import Synchronization

extension GatewayServer {
    /// The admin listener has a worker of its own, so that admin requests and other requests never delay each other.
    func startAdmin() throws {
        let (handle, fallback, tickets) = (admin, fallback, tickets)
        let handler = AdminHandler(
            hosts: AdminHosts(machine: node.machine), status: status, metrics: metrics,
            api: options.adminService.map { AdminQueue($0, statePath: options.statePath) })
        let settings = WorkerSettings()
        handle.start(log: log) {
            WorkerSetup(
                mailbox: handle.mailbox, reports: handle.reports, metrics: handle.metrics,
                connections: ConnectionCounts(), settings: settings, tickets: tickets, fallback: fallback,
                adminHandler: handler)
        }
    }

    /// The first state sets the number of workers. The number can't change later in the same process.
    func startWorkers() {
        guard workers.isEmpty else { return }
        let count = compiler.settings.workers ?? SystemName.processors
        let (fallback, tickets) = (fallback, tickets)
        let settings = workerSettings()
        if let shortage = toldBudget?.shortage {
            log.error("\(shortage)")
            (isEnding, exitCode) = (true, 1)
            return
        }
        let (connections, identity) = (ConnectionCounts(), node.id)
        for number in 0..<count {
            let handle: WorkerHandle
            do {
                handle = try WorkerHandle(number: number, reports: reports)
            } catch {
                log.error("worker \(number) can't start: \(SystemFailure.text(error.code))")
                continue
            }
            handle.start(log: log) {
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

    /// The settings of each worker. The limit of connections is lower than in aegis.yaml if the process may not open
    /// enough descriptors.
    func workerSettings() -> WorkerSettings {
        let settings = compiler.settings
        let budget = DescriptorBudget(
            descriptors: DescriptorLimit.current, settings.limits, workers: settings.workers ?? SystemName.processors,
            listeners: settings.http.count + settings.https.count + 1)
        if budget != toldBudget {
            budget.isShort ? log.warning("\(budget)") : log.info("\(budget)")
            status.change { $0.connectionLimit = budget.connections }
            toldBudget = budget
        }
        return WorkerSettings(settings, budget)
    }

    /// The number of workers can't change in a running process. If the settings have another number, this is logged
    /// once.
    func tellOfWorkerCount() {
        let wanted = compiler.settings.workers ?? SystemName.processors
        guard wanted != workers.count, wanted != toldWorkerCount else { return }
        toldWorkerCount = wanted
        log.warning(
            "workers: \(workers.count) now, \(wanted) after the next start, or upgrade by SIGUSR2")
    }

    /// Tells the admin worker of a change. The admin worker gets the upstreams, since it runs the health checks, but no
    /// hosts.
    func tellAdmin(_ update: TableUpdate) {
        var part = TableUpdate()
        part.revision = update.revision
        part.upstreams = update.upstreams
        part.places = update.places
        part.removedUpstreams = update.removedUpstreams
        admin.mailbox.post(.update(part))
        admin.mailbox.post(.api(compiler.settings.admin.api))
    }

    /// Handles what a worker has reported.
    func handle(_ report: WorkerReport) {
        switch report {
        case .applied(let worker, let revision):
            appliedRevisions[worker] = revision
            if workers.allSatisfy({ (appliedRevisions[$0.number] ?? 0) >= position.revision }) { inForce() }
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
        case .peerRefused(let role, let host, let peer, let refusal): peerRefused(role, host: host, peer: peer, refusal)
        case .traffic(let report): metrics.traffic.add(report)
        case .acceptFailed(let code):
            if mayComplain(of: nil) { log.error("no connection can be accepted: \(SystemFailure.text(code))") }
        case .short(let shortage, let client):
            if mayComplain(of: shortage) { tell(of: shortage, client: client) }
        case .health(let upstream, let isHealthy, let reason):
            recordHealth(upstream, isHealthy, reason)
        case .drained(let worker):
            if worker >= 0 { drained += 1 }
        }
    }
}

/// The metrics that the admin listener shows. The list of workers is filled after the admin listener has started.
final class MetricsSource: Sendable {
    private let list = Mutex<[WorkerMetrics]>([])
    let traffic = TrafficTotals()

    var workers: [WorkerMetrics] {
        get { list.withLock { $0 } }
        set { list.withLock { $0 = newValue } }
    }
}
