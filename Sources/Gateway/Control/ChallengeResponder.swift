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

extension TableUpdate {
    /// Adds the answer to a challenge: a text for http-01, a certificate for tls-alpn-01.
    mutating func add(_ challenge: ACMEChallenge, now: Int64) throws(PKIError) {
        let token = Array(challenge.token.utf8)
        switch challenge.kind {
        case .http01: challenges.append((token, Array(challenge.keyAuthorization.utf8)))
        case .tlsALPN01:
            let subject = try SubjectName(challenge.domain)
            let made = try ChallengeCertificate(
                name: subject, keyAuthorization: challenge.keyAuthorization, now: now)
            challengeCertificates.append(
                ChallengeEntry(
                    token: token, serverName: subject.challengeServerName,
                    credential: try TLSCredential(chain: [made.certificate.der], key: made.key)))
        }
    }
}

extension SubjectName {
    /// The server name that a CA sends when it validates this name. For an IP address, that is the address's name in
    /// the reverse zone (RFC 8738 section 6).
    var challengeServerName: String {
        guard case .ip(let text) = self, let address = IPAddress(text) else { return self.text }
        if address.family == .v4 {
            return address.bytes.reversed().map { "\($0)." }.joined() + "in-addr.arpa"
        }
        let nibbles = address.bytes.flatMap { [$0 >> 4, $0 & 15] }
        return nibbles.reversed().map { String($0, radix: 16) + "." }.joined() + "ip6.arpa"
    }
}
