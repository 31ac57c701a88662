extension GatewayServer {
    /// Looks at the files and identities that trust is made from, and puts changes in force. `isForced` reads also files
    /// that look unchanged.
    func lookAtFiles(isForced: Bool = false) {
        let failures = compiler.trustFailures
        var renewed = compiler.lookAtFiles(isForced: isForced)
        updateNodeAccess()
        tellOfTrust(before: failures)
        guard !renewed.isEmpty else { return }
        if !renewed.upstreams.isEmpty {
            log.info(
                "upstreams trust other CAs now, or are shown another certificate",
                [("upstreams", "\(renewed.upstreams.count)")])
        }
        if !renewed.clients.isEmpty {
            log.info(
                "clients' certificates are verified by other CAs or revocation lists now",
                [("rules", "\(renewed.clients.count)")])
        }
        // Upstreams of a change that is held are not in force yet. Their numbers may still be those of others.
        for index in heldChange?.update.upstreams.indices ?? 0..<0 {
            guard let number = heldChange?.update.upstreams[index].number, let trust = renewed.upstreams[number] else {
                continue
            }
            heldChange?.update.upstreams[index].trust = trust
            renewed.upstreams[number] = nil
        }
        heldChange?.update.replace(&renewed.clients)
        for worker in workers + [admin] { worker.mailbox.post(.trust(renewed)) }
    }

    /// Logs which materials can't be used, or no longer give a reason to complain.
    func tellOfTrust(before: Set<String>) {
        let warnings = compiler.materials.warnings(now: Self.now)
        for warning in warnings.subtracting(toldWarnings).sorted() { log.warning(warning) }
        toldWarnings = warnings
        let peers = compiler.materials.status
        if status.current.peers != peers { status.change { $0.peers = peers } }
        let failures = compiler.trustFailures
        guard failures != before else { return }
        for reason in failures.subtracting(before).sorted() { log.error(reason) }
        for reason in before.subtracting(failures).sorted() { log.info("no longer: \(reason)") }
        // The next tick tells of the problems that are left.
        nextHeartbeat = 0
    }
}
