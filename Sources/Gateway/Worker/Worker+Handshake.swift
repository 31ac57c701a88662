import PKI

extension Worker {
    /// Called when a client in the queue of handshakes has its turn.
    func continueQueuedHandshake(_ id: SlotID) {
        switch clients[id].phase {
        case .handshake:
            // The handshake's time limit does not run while the client waits for its turn.
            setDeadline(client: id, inMilliseconds: clients[id].timeLeft)
            continueHandshake(id)
        case .awaitingCertificate: endWait(id)
        case .open, .multiplexed, .tunnel, .lingering, .closing: break
        }
        enqueueIfReadable(id)
    }

    private func continueHandshake(_ id: SlotID) {
        switch clients[id].transport.receiveCiphertext(memory) {
        case .bytes: if isPlainRequest(memory.cipher.bytes, from: id) { return refusePlainRequest(id) }
        case .wouldBlock: return
        case .ended, .failed:
            metrics.add(.handshakesAborted, 1)
            return close(id)
        }
        advanceHandshake(id)
    }

    /// Continues a handshake as far as the bytes that were lent to TLS allow.
    private func advanceHandshake(_ id: SlotID) {
        var refusal: WorkerMetrics.Counter?
        while true {
            guard let progress = clients[id].transport.tls?.handshake() else { return close(id) }
            if clients[id].transport.sendOutput(of: memory.wire) != nil {
                metrics.add(.handshakesAborted, 1)
                return close(id)
            }
            switch progress {
            case .needsInput: return clients[id].transport.keepUndecrypted(memory.wire)
            case .needsOutput: continue
            case .needsCertificate:
                switch chooseCertificate(id) {
                case .chosen: continue
                case .awaited(let name): return awaitCertificate(name, id)
                // The next call of `handshake` sends the alert.
                case .none(let reason):
                    refusal = reason
                    clients[id].transport.tls?.refuse()
                }
            case .complete: return finishHandshake(id)
            case .failed(let failure):
                if clients[id].proof.trust != nil,
                    let refusal = clients[id].transport.tls?.refusal(after: failure)
                {
                    refuseCertificate(refusal, of: id)
                    return failHandshake(id, .handshakesOfRefusedClients)
                }
                return failHandshake(id, refusal ?? failure.counter)
            }
        }
    }

    /// After TLS has failed, at most this many bytes are read from the client and discarded.
    static let bytesAfterFailure = 1 << 20

    /// Ends a connection whose handshake has failed. TLS has already sent an alert. Closing a connection with unread
    /// bytes would reset the connection, and the client might never see the alert. So the client's bytes are read and
    /// discarded, until the time for the handshake is over.
    private func failHandshake(_ id: SlotID, _ reason: WorkerMetrics.Counter) {
        endTLS(id, reason)
        linger(id, until: clients[id].deadline.milliseconds, atMost: Self.bytesAfterFailure)
    }

    /// Counts a failed handshake. From now on the connection has no TLS.
    private func endTLS(_ id: SlotID, _ reason: WorkerMetrics.Counter) {
        metrics.add(reason, 1)
        memory.wire.revoke()
        clients[id].transport.tls = nil
    }

    /// Whether the client's first bytes are an HTTP method in capital letters. A TLS record never begins with a letter.
    private func isPlainRequest(_ bytes: Bytes, from id: SlotID) -> Bool {
        guard clients[id].transport.tls?.isUntouched ?? false else { return false }
        var letters = 0
        while letters < bytes.count, UInt8(ascii: "A")...UInt8(ascii: "Z") ~= bytes[letters] { letters += 1 }
        return letters > 0 && (letters == bytes.count || bytes[letters] == UInt8(ascii: " "))
    }

    /// The client has sent plain HTTP to a port for HTTPS. The answer is plain HTTP too.
    private func refusePlainRequest(_ id: SlotID) {
        endTLS(id, .handshakesPlain)
        refuse(
            400, "plain HTTP at a port for HTTPS", id,
            explanation: "A plain HTTP request was sent to a port that speaks HTTPS.")
    }

    // MARK: Certificates that are being ordered

    /// The longest time that a handshake waits for a certificate, in milliseconds. Every `on_demand_wait` in aegis.yaml
    /// is shorter, so normally the control side ends the wait.
    private static let longestWaitMilliseconds: Int64 = 65_000

    private func awaitCertificate(_ name: String, _ id: SlotID) {
        clients[id].phase = .awaitingCertificate
        clients[id].hasAwaited = true
        clients[id].transport.keepUndecrypted(memory.wire)
        setDeadline(client: id, inMilliseconds: Self.longestWaitMilliseconds)
        requestCertificate(name)
        awaitingCertificate[name, default: []].append(id)
    }

    /// Reports that a handshake needs a certificate which the state does not have, unless the worker still waits for
    /// the reply to the previous report.
    private func requestCertificate(_ name: String) {
        guard awaitingCertificate[name] == nil else { return }
        awaitingCertificate[name] = []
        reports.post(.certificateWanted(name: name))
    }

    /// Queues the handshakes that have waited for a certificate. The certificate may or may not have been obtained.
    func resumeHandshakes(withCertificate name: String) {
        for id in awaitingCertificate.removeValue(forKey: name) ?? [] where clients.contains(id) {
            if clients[id].phase == .awaitingCertificate { enqueue(handshake: id) }
        }
    }

    private func endWait(_ id: SlotID) {
        clients[id].phase = .handshake
        setDeadline(client: id, inMilliseconds: settings.handshakeMilliseconds)
        clients[id].transport.lendUndecrypted(memory.wire)
        advanceHandshake(id)
    }

    // MARK: Choosing a certificate

    private enum Choice {
        case chosen
        /// The client must wait until this certificate is obtained, or until the wait takes too long.
        case awaited(name: String)
        /// The handshake is refused, for the reason that the counter names.
        case none(WorkerMetrics.Counter)
    }

    private func chooseCertificate(_ id: SlotID) -> Choice {
        let hello = memory.wire.hello
        let key = HostKey(hello)
        if hello.asksForChallenge, let key, clients[id].listener == .https,
            let credential = tables.challengeCredential(for: key)
        {
            return clients[id].transport.tls?.choose(challenge: credential) ?? false
                ? .chosen : .none(.handshakesWithoutCertificate)
        }
        clients[id].proof.namedHost = key?.hash(suffixFrom: 0)
        if clients[id].listener == .node { return chooseNodeCertificate(id) }
        var site: SlotID?
        if clients[id].listener != .admin, let key { site = tables.site(for: key) }
        let credential: TLSCredential?
        if clients[id].listener == .admin {
            credential = tables.fallback.source.admin ?? tables.fallback.credential(for: key, now: clock.seconds)
        } else {
            var failure: (name: String, reason: String)?
            let stored = tables.credential(site: site, key: key, failure: &failure)
            if let failure {
                metrics.add(.certificateFailures, 1)
                report(.certificateFailed(name: failure.name, reason: failure.reason))
            }
            if !clients[id].hasAwaited, let site, let key, tables.sites[site].view.ordersCertificate {
                if stored == nil || tables.isUncovered(key, by: site) {
                    return .awaited(name: tables.sites[site].site.name)
                }
                // Another certificate covers the name, so this client need not wait until the host has its own.
                if !tables.hasOwnCertificate(site) { requestCertificate(tables.sites[site].site.name) }
            }
            credential = stored ?? tables.fallback.credential(for: key, now: clock.seconds)
        }
        guard let credential else { return .none(.handshakesWithoutCertificate) }
        let policy: TLSPolicy
        if let site {
            clients[id].proof.site = site
            tables.use(site: site)
            guard let ofSite = tables.policy(of: site, offersHTTP2: settings.offersHTTP2) else {
                return .none(.handshakesWithoutTrust)
            }
            policy = ofSite
            clients[id].proof.ask(by: policy.clients?.trust, now: clock.seconds)
        } else {
            policy =
                clients[id].listener == .admin
                ? Self.adminPolicy : TLSPolicy(scope: Self.scopeWithoutSite, offersHTTP2: settings.offersHTTP2)
        }
        return clients[id].transport.tls?.choose(credential, policy) ?? false
            ? .chosen : .none(.handshakesWithoutCertificate)
    }

    /// Chooses the certificate for a client of the node listener. The handshake is refused if the client shows no
    /// certificate that `node.allow` lists.
    private func chooseNodeCertificate(_ id: SlotID) -> Choice {
        guard let access = nodeAccess else { return .none(.handshakesWithoutTrust) }
        clients[id].proof.ask(by: access.trust, now: clock.seconds)
        let policy = TLSPolicy(
            scope: Self.nodeScope, clients: ClientAuthentication(trust: access.trust, isRequired: true))
        return clients[id].transport.tls?.choose(access.credential, policy) ?? false
            ? .chosen : .none(.handshakesWithoutCertificate)
    }

    private static let nodeScope = TLSScope("node")
    private static let adminPolicy = TLSPolicy(scope: TLSScope("admin"))
    /// The scope of handshakes that name no host, or a host that is not served. A session of such a handshake can't be
    /// resumed for a site, since sites have other scopes.
    private static let scopeWithoutSite = TLSScope("no site")

    private func finishHandshake(_ id: SlotID) {
        guard let version = clients[id].transport.tls?.version, let isResumed = clients[id].transport.tls?.isResumed
        else { return close(id) }
        clients[id].proof.version = version
        clients[id].proof.isResumed = isResumed
        if let trust = clients[id].proof.trust, !recordClientCertificate(of: id, trust, isResumed: isResumed) {
            metrics.add(.handshakesOfRefusedClients, 1)
            return close(id)
        }
        metrics.add(version == .v1_3 ? .handshakesTLS13 : .handshakesTLS12, 1)
        if isResumed { metrics.add(.handshakesResumed, 1) }
        if clients[id].transport.tls?.isValidation ?? false { return close(id) }
        metrics.observe(.handshake, nanoseconds: clock.nanoseconds - clients[id].acceptedAt)
        setDeadline(client: id, inMilliseconds: settings.headMilliseconds)
        clients[id].phase = .open
        if clients[id].transport.tls?.speaksHTTP2 ?? false, !beginMultiplexing(id) { return close(id) }
        // The client's first request often arrives together with its last handshake message.
        handle(clients[id].transport.decrypt(memory, second: clock.seconds), from: id)
    }

    // MARK: Client certificates

    /// Stores the client's certificate in the connection's proof.
    ///
    /// OpenSSL verifies nothing when a session is resumed, so the certificate is checked here. The session is bound to
    /// the rules and to the turns of their revocation lists, so the certificate can be invalid only because it has
    /// expired since the full handshake.
    ///
    /// - Returns: False if the certificate of a resumed session is no longer valid.
    private func recordClientCertificate(of id: SlotID, _ trust: PeerTrust, isResumed: Bool) -> Bool {
        let leaf = clients[id].transport.tls?.peerCertificate ?? nil
        guard let leaf else {
            tables.count(certificateFor: askingHost(of: id), isShown: false)
            return true
        }
        if isResumed, let refusal = clients[id].transport.tls?.recheckPeer(by: trust, now: clock.seconds) ?? nil {
            refuseCertificate(refusal, of: id)
            return false
        }
        guard let notAfter = clients[id].transport.tls?.peerCertificateEnd ?? nil else { return false }
        clients[id].proof.certificate = ClientCertificate(leaf, notAfter: notAfter)
        tables.count(certificateFor: askingHost(of: id), isShown: true)
        return true
    }

    /// Counts and reports a certificate that was refused.
    func refuseCertificate(_ refusal: PeerRefusal, of id: SlotID) {
        let host = askingHost(of: id)
        tables.count(certificateFor: host, isShown: true, refusal: refusal.reason)
        report(refusal, of: .client, host: host, peer: clients[id].peer.description)
    }

    /// The name of the host that has asked for a client's certificate. The node listener has a name that no host can
    /// have.
    private func askingHost(of id: SlotID) -> String {
        let site = clients[id].proof.site
        return site.isNone ? WorkerReport.nodeListener : tables.sites[site].site.name
    }
}

extension TLSFailure {
    fileprivate var counter: WorkerMetrics.Counter {
        switch cause {
        case .alert: .handshakesAlerted
        case .version: .handshakesOfOtherVersions
        case .algorithms: .handshakesWithoutAlgorithms
        case .flood, .other: .handshakesMalformed
        }
    }
}
