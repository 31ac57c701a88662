import PKI
import State

extension GatewayServer {
    /// Logs a refused peer certificate and adds an audit event, within the limits of the `RefusalAllowance` of its
    /// kind. The metrics count every refusal.
    func peerRefused(_ role: PeerRole, host: String, peer: String, _ refusal: PeerRefusal) {
        let kind = RefusalKind(refusal, of: role)
        guard let unreported = refusals[kind.rawValue].noteRefusal(at: Self.uptime) else { return }
        let details = refusal.details + [("peer", peer), ("direction", role.direction)]
        let who = role == .client ? "a client's" : "an upstream's"
        let missed = unreported > 0 ? [("unreported", "\(unreported)")] : []
        log.warning(
            "\(who) certificate was refused: \(refusal)", [("host", host), ("peer", peer)] + refusal.details + missed)
        // While the state can't be written, events wait in memory. Refusals may fill only half of the room, so that
        // other events are not lost. Refusals of clients without a certificate may fill only a quarter.
        let share = kind == .withoutCertificate ? 4 : 2
        guard stateWatch.events.count < StateDamage.mostEvents / share else { return }
        note([
            AuditEvent(
                at: Self.now, actor: "gateway \(node.machine) \(node.process)", action: "refuse",
                item: host == WorkerReport.nodeListener ? ItemID(single: .node) : ItemID(.host, host),
                failure: "\(refusal)",
                details: Dictionary(details + missed) { $1 })
        ])
    }
}

extension PeerRefusal {
    /// The facts about a refusal that are logged and recorded beside its description.
    fileprivate var details: [(String, String)] {
        guard let certificate else { return [("reason", reason.rawValue)] }
        var names = certificate.names
        if certificate.namesLeftOut > 0 { names.append("and \(certificate.namesLeftOut) more") }
        return [
            ("reason", reason.rawValue), ("depth", "\(depth)"), ("subject", certificate.subject),
            ("issuer", certificate.issuer), ("serial", certificate.serial),
            ("sans", names.joined(separator: ", ")), ("fingerprint", certificate.fingerprint),
            ("not_after", certificate.notAfter.map(UTCTime.rfc3339) ?? ""),
        ]
    }
}
