import Materials

extension GatewayServer {
    /// Checks the files and identities by which peers are verified, such as CA files, and puts changes in force. With
    /// `isForced`, files are read even if they look unchanged. `lists` are revocation lists that were parsed.
    func lookAtFiles(isForced: Bool = false, lists: [ListFiles.Reading] = []) {
        let deliveries = vaultDesk.takeDeliveries()
        let change = compiler.lookAtFiles(isForced: isForced, deliveries: deliveries, lists: lists)
        readLists()
        followFiles(hasChanged: change != nil)
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
        // An upstream of a held change is not in force yet, and another upstream may still have its number. So the
        // workers get the new trust with the held change.
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

    /// Makes `fileWatch` follow the present files.
    private func followFiles(hasChanged: Bool) {
        guard hasChanged || followedPlaces != compiler.materials.placesVersion else {
            fileWatch?.renew()
            return
        }
        followedPlaces = compiler.materials.placesVersion
        fileWatch?.follow(compiler.materials.places)
    }

    /// Starts to parse the revocation lists whose files are new or have changed.
    func readLists() {
        for request in compiler.materials.takeListRequests() {
            do throws(SystemFailure) {
                if listReader == nil { listReader = try ListReader(events) }
                listReader?.read(request)
            } catch {
                // No descriptor is free for the mailbox of a reader thread, so this thread parses the list.
                events.post(.listsRead(request.read()))
            }
        }
    }

    /// Logs new warnings about identities and hosts. The warnings can change without a change of the configuration, for
    /// example when a certificate expires.
    private func tellOfWarnings() {
        let lax = compiler.hostsAllowingExpired.map {
            "the host '\($0)' accepts expired certificates of clients (allow_expired: true)"
        }
        let warnings = compiler.materials.warnings(now: Self.now).union(lax)
        for warning in warnings.subtracting(toldWarnings).sorted() { log.warning(warning) }
        toldWarnings = warnings
    }

    /// Logs which files and identities can't be used, and which can be used again. Updates the metrics about them.
    func tellOfTrust() {
        var peers = compiler.materials.status
        peers.hostsAllowingExpired = compiler.hostsAllowingExpired
        status.change { [peers] in $0.peers = peers }
        let (failures, told) = (
            compiler.trustFailures.union(compiler.materials.identityFailures.values), toldFailures
        )
        guard failures != told else { return }
        for reason in failures.subtracting(told).sorted() { log.error(reason) }
        for reason in told.subtracting(failures).sorted() { log.info("no longer: \(reason)") }
        toldFailures = failures
        // The next tick writes the problems that are left into the gateway's row.
        nextHeartbeat = 0
    }
}

extension StateCompiler {
    /// The names of the hosts that verify clients by the rules with these numbers, for messages: at most 20, sorted.
    func namesOfHosts(verifyingBy numbers: Set<ClientTrustNumber>) -> String {
        let names = sites.values.filter { site in
            let rule = site.view.clientCertificates
            return rule.mode != .none && numbers.contains(rule.trust)
        }.map(\.name).sorted()
        let most = 20
        return names.prefix(most).joined(separator: ", ")
            + (names.count > most ? " and \(names.count - most) more" : "")
    }
}
