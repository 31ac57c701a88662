import PKI

extension Worker {
    /// Goes on with a client's TLS handshake, with what has come for it.
    func continueHandshake(_ id: SlotID) {
        switch clients[id].transport.receiveCiphertext(memory) {
        case .bytes: break
        case .wouldBlock: return
        case .ended, .failed:
            metrics.add(.handshakesAborted, 1)
            return close(id)
        }
        while true {
            guard let progress = clients[id].transport.tls?.handshake() else { return close(id) }
            if let failure = clients[id].transport.sendOutput(of: memory.wire) {
                _ = failure
                metrics.add(.handshakesAborted, 1)
                return close(id)
            }
            switch progress {
            case .needsInput: return
            case .needsOutput: continue
            case .needsCertificate:
                guard chooseCertificate(id) else {
                    metrics.add(.handshakesFailed, 1)
                    return close(id)
                }
            case .complete: return finishHandshake(id)
            case .failed:
                metrics.add(.handshakesFailed, 1)
                return close(id)
            }
        }
    }

    private func chooseCertificate(_ id: SlotID) -> Bool {
        let key = HostKey(memory.wire.hello)
        clients[id].hasNamedHost = key != nil
        var site: SlotID?
        if clients[id].listener != .admin, let key { site = tables.site(for: key) }
        if let site {
            clients[id].site = site
            tables.use(site: site)
        }
        var failure: (name: String, reason: String)?
        let credential: TLSCredential?
        if let adminHandler, clients[id].listener == .admin {
            credential = adminHandler.credential
        } else {
            credential = unsafe tables.credential(site: site, key: key, now: clock.seconds, failure: &failure)
        }
        if let failure {
            metrics.add(.certificateFailures, 1)
            report(.certificateFailed(name: failure.name, reason: failure.reason))
        }
        guard let credential else { return false }
        if let site {
            let view = tables.sites[site].view
            return choose(id, credential, view.leastVersion, view.binding)
        }
        // Sessions without a site are bound to that, so that none of them reaches one.
        return unsafe "no site".utf8.withContiguousStorageIfAvailable { text in
            guard let start = text.baseAddress else { return false }
            return unsafe choose(id, credential, .v1_2, Bytes(start, count: text.count))
        } ?? false
    }

    private func choose(
        _ id: SlotID, _ credential: TLSCredential, _ version: TLSConnection.Version, _ binding: Bytes
    ) -> Bool {
        clients[id].transport.tls?.choose(credential, leastVersion: version, binding: binding.span) ?? false
    }

    private func finishHandshake(_ id: SlotID) {
        guard let version = clients[id].transport.tls?.version, let isResumed = clients[id].transport.tls?.isResumed
        else { return close(id) }
        metrics.add(version == .v1_3 ? .handshakesTLS13 : .handshakesTLS12, 1)
        if isResumed { metrics.add(.handshakesResumed, 1) }
        unsafe metrics.observe(.handshake, nanoseconds: clock.nanoseconds - clients[id].acceptedAt)
        clients[id].phase = .open
        unsafe setDeadline(client: id, inMilliseconds: settings.headMilliseconds)
        // The first request often comes with the client's last message.
        take(clients[id].transport.decrypt(memory), from: id)
    }
}
