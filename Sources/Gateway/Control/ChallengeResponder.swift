import ConfigModel
import Glibc
import Issuers
import PKI
import State

/// Answers ACME challenges for an apply while no gateway is running. It has one worker, which serves no hosts.
package final class ChallengeResponder: ChallengeAnswerer {
    private let worker: WorkerHandle

    /// Listens on the gateway's addresses.
    ///
    /// - Throws: `IssuanceFailure` if listening fails, for example because another process uses an address or the user
    ///   may not use the port.
    package init(_ settings: GatewaySettings) throws(IssuanceFailure) {
        do {
            let reports = try Mailbox<WorkerReport>()
            worker = try WorkerHandle(number: 0, reports: reports)
            let tickets = try TicketKeys()
            let fallback = try FallbackSource(
                authority: CertificateAuthority.makeRoot(
                    commonName: "Aegis Temporary CA", now: Int64(time(nil)), lifetimeSeconds: 86_400))
            let budget = DescriptorBudget(
                descriptors: DescriptorLimit.current, settings.limits, workers: 1,
                listeners: settings.http.count + settings.https.count)
            let (handle, workerSettings) = (worker, WorkerSettings(settings, budget))
            handle.start(log: EventLog(.text)) {
                WorkerSetup(
                    mailbox: handle.mailbox, reports: reports, metrics: handle.metrics, connections: ConnectionCounts(),
                    settings: workerSettings, tickets: tickets, fallback: fallback)
            }
        } catch {
            throw IssuanceFailure("no gateway is alive, and challenges can't be answered here: \(error)")
        }
        var sockets = ListeningSockets(inherited: [])
        let places = settings.http.map { ($0, ListenerRole.http) } + settings.https.map { ($0, ListenerRole.https) }
        for (address, role) in places {
            do {
                for descriptor in try sockets.listen(at: address, workers: 1) {
                    worker.mailbox.post(
                        .listen(Listener(descriptor: descriptor, role: role, address: address.text)))
                }
            } catch {
                worker.mailbox.post(.stop)
                throw IssuanceFailure(
                    "no gateway is alive, and challenges can't be answered at \(address.text):"
                        + " \(ListeningSockets.reason(for: error, at: address))",
                    hint: "start aegis-gateway, or apply as a user that may listen there")
            }
        }
    }

    deinit { worker.mailbox.post(.stop) }

    package func answer(_ challenges: [ACMEChallenge]) throws(IssuanceFailure) {
        var update = TableUpdate()
        for challenge in challenges {
            do throws(PKIError) {
                try update.add(challenge, now: Int64(time(nil)))
            } catch {
                throw IssuanceFailure("the challenge of \(challenge.domain): \(error)")
            }
        }
        worker.mailbox.post(.update(update))
    }

    package func withdraw(tokens: [String]) {
        var update = TableUpdate()
        update.removedChallenges = tokens.map { Array($0.utf8) }
        worker.mailbox.post(.update(update))
    }
}
