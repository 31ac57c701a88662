extension GatewayServer {
    /// Looks at the files and identities that trust is made from, and puts changes in force. `isForced` reads also files
    /// that look unchanged.
    func lookAtFiles(isForced: Bool = false) {
        let deliveries = vaultDesk.takeDeliveries()
        let change = compiler.lookAtFiles(isForced: isForced, deliveries: deliveries)
        tellOfWarnings()
        if change == nil, !deliveries.isEmpty { tellOfTrust() }
        guard var renewed = change else { return }
        alerting.nextLook = 0
        updateNodeAccess()
        tellOfTrust()
        if !renewed.upstreams.isEmpty {
            log.info(
                "upstreams trust other CAs now, or are shown another certificate",
                [("upstreams", "\(renewed.upstreams.count)")])
        }
        if !renewed.clients.isEmpty {
            log.info(
                "clients' certificates are verified by other CAs or revocation lists now",
                [
                    ("rules", "\(renewed.clients.count)"),
                    ("hosts", compiler.namesOfHosts(verifyingBy: Set(renewed.clients.map(\.number)))),
                ])
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
        guard !renewed.upstreams.isEmpty || !renewed.clients.isEmpty else { return }
        for worker in workers + [admin] { worker.mailbox.post(.trust(renewed)) }
    }

    /// Logs what operators should know of identities. This changes with time too, when a certificate expires.
    private func tellOfWarnings() {
        let warnings = compiler.materials.warnings(now: Self.now)
        for warning in warnings.subtracting(toldWarnings).sorted() { log.warning(warning) }
        toldWarnings = warnings
    }

    /// Logs which files and identities can't be used, or can be used again, and updates their metrics.
    func tellOfTrust() {
        let peers = compiler.materials.status
        status.change { $0.peers = peers }
        let (failures, told) = (compiler.trustFailures, toldFailures)
        guard failures != told else { return }
        for reason in failures.subtracting(told).sorted() { log.error(reason) }
        for reason in told.subtracting(failures).sorted() { log.info("no longer: \(reason)") }
        toldFailures = failures
        // The next tick tells of the problems that are left.
        nextHeartbeat = 0
    }
}

extension StateCompiler {
    /// The names of the hosts that verify their clients by rules of these numbers, for the log. Of many, the first.
    fileprivate func namesOfHosts(verifyingBy numbers: Set<ClientTrustNumber>) -> String {
        let names = sites.values.filter { site in
            let rule = site.view.clientCertificates
            return rule.mode != .none && numbers.contains(rule.trust)
        }.map(\.name).sorted()
        let most = 20
        return names.prefix(most).joined(separator: ", ")
            + (names.count > most ? " and \(names.count - most) more" : "")
    }
}
