extension GatewayServer {
    /// Looks at the files of upstreams' CAs, and puts changes in force. `isForced` reads also files that look unchanged.
    func lookAtFiles(isForced: Bool = false) {
        let failures = compiler.upstreams.trustFailures
        var renewed = compiler.lookAtFiles(isForced: isForced)
        tellOfTrust(before: failures)
        guard !renewed.isEmpty else { return }
        log.info("a ca_file has changed: its upstreams trust other CAs now", [("upstreams", "\(renewed.count)")])
        // Upstreams of a change that is held are not in force yet. Their numbers may still be those of others.
        for index in heldChange?.update.upstreams.indices ?? 0..<0 {
            guard let number = heldChange?.update.upstreams[index].number, let trust = renewed[number] else { continue }
            heldChange?.update.upstreams[index].trust = trust
            renewed[number] = nil
        }
        for worker in workers + [admin] { worker.mailbox.post(.trust(renewed)) }
    }

    /// Logs which files of CAs can't be used, or can be used again.
    func tellOfTrust(before: [String: String]) {
        let failures = compiler.upstreams.trustFailures
        guard failures != before else { return }
        for (path, reason) in failures.sorted(by: { $0.key < $1.key }) where before[path] != reason {
            log.error(reason)
        }
        for path in before.keys.sorted() where failures[path] == nil {
            log.info("the CAs in '\(path)' are no problem any more")
        }
        // The next tick tells of the problems that are left.
        nextHeartbeat = 0
    }
}
