import Glibc
import PKI

/// A client whose connection was accepted, but not yet counted.
struct AcceptedClient {
    let descriptor: Int32
    let peer: PeerAddress
    let role: ListenerRole
}

/// A listening socket that belongs to one worker.
struct Listener: Sendable {
    let descriptor: Int32
    var role: ListenerRole
    /// The listening address as it is written in aegis.yaml.
    let address: String
}

extension Worker {
    /// How many connections a listener accepts in one turn.
    private static let acceptBatch = 64
    /// After accepting has failed, no listener accepts connections for this time, in milliseconds.
    private static let acceptPauseMilliseconds: Int64 = 100

    /// The largest number of connections to the admin listener.
    private static let adminConnections = 100

    func listen(_ listener: Listener) {
        do {
            if !isAcceptingPaused { try watch(listener) }
            listeners.append(listener)
        } catch {
            Socket.close(listener.descriptor)
        }
    }

    /// Closes listeners. With `acceptingWaiting`, connections that wait at a listener are accepted first.
    func stopListening(acceptingWaiting: Bool = true, where isAffected: (Listener) -> Bool) {
        admitPostponed()
        for listener in listeners where isAffected(listener) {
            // The kernel has already established the waiting connections. Closing the listener would reset these
            // connections.
            while acceptingWaiting, accept(at: listener, mayWait: false) {}
            poller.remove(listener.descriptor)
            Socket.close(listener.descriptor)
        }
        listeners.removeAll(where: isAffected)
    }

    func acceptClients(at descriptor: Int) {
        // The event may be from before the pause began.
        guard !isAcceptingPaused, let listener = listeners.first(where: { Int($0.descriptor) == descriptor }) else {
            return
        }
        for _ in 0..<Self.acceptBatch {
            guard accept(at: listener, mayWait: true) else { return }
        }
    }

    /// Stops watching the listeners for a moment, since there is no descriptor or no place for another connection.
    /// Otherwise the connections that wait in the kernel would wake the event loop again and again.
    private func pauseAccepting(milliseconds: Int64) {
        guard !isAcceptingPaused else { return }
        isAcceptingPaused = true
        for listener in listeners { poller.remove(listener.descriptor) }
        _ = wheel.enter(Token(.listener), at: clock.milliseconds + milliseconds)
    }

    func resumeAccepting() {
        isAcceptingPaused = false
        admitPostponed()
        for listener in listeners { try? watch(listener) }
    }

    private func watch(_ listener: Listener) throws(SystemFailure) {
        try poller.addLevelTriggered(
            listener.descriptor, Token(.listener, SlotID(index: UInt32(listener.descriptor), generation: 0)))
    }

    /// Accepts one connection. Returns false if no connection waits, if accepting fails, or if there is no room yet.
    ///
    /// - Parameter mayWait: Whether the client may be postponed if there is no room yet. Otherwise it is refused.
    private func accept(at listener: Listener, mayWait: Bool) -> Bool {
        var peer = PeerAddress()
        let descriptor: Int32
        do throws(SystemFailure) {
            let accepted = try withinDescriptors(politely: true) { () throws(SystemFailure) in
                try Socket.accept(listener.descriptor, peer: &peer)
            }
            guard let accepted else { return false }
            descriptor = accepted
        } catch {
            metrics.add(.acceptFailures, 1)
            report(.acceptFailed(error.code))
            pauseAccepting(milliseconds: Self.acceptPauseMilliseconds)
            return false
        }
        return admit(AcceptedClient(descriptor: descriptor, peer: peer, role: listener.role), mayWait: mayWait)
    }

    /// Admits the client that was postponed. If there is still no room, the client is refused.
    private func admitPostponed() {
        guard let client = postponedClient.take() else { return }
        _ = admit(client, mayWait: false)
    }

    /// Counts one more connection of a client, if the limits allow it, and begins to serve it. If the total limit is
    /// reached, a connection without a request in progress is closed to make room.
    ///
    /// - Returns: False if the client was postponed.
    private func admit(_ client: AcceptedClient, mayWait: Bool) -> Bool {
        let isAdmin = client.role.isAdmin
        let total = isAdmin ? Self.adminConnections : settings.connections
        let perClient = isAdmin || isTrusted(client.peer) ? nil : settings.connectionsPerClient
        var admission = connections.admit(client.peer.key, total: total, perClient: perClient)
        if admission == .full {
            if !isAdmin { report(Shortage.connections) }
            switch makeRoom(politely: true, mayWait: mayWait) {
            case .made: admission = connections.admit(client.peer.key, total: total, perClient: perClient)
            case .none: break
            case .later(let milliseconds):
                postponedClient = client
                pauseAccepting(milliseconds: milliseconds)
                return false
            }
        }
        guard admission == .admitted else {
            if admission == .tooManyOfClient { report(Shortage.connectionsOfClient, client: client.peer) }
            metrics.add(.connectionsRefused, 1)
            Socket.close(client.descriptor)
            return true
        }
        Socket.setNoDelay(client.descriptor)
        if !open(client) { connections.leave(client.peer.key) }
        return true
    }

    /// Sets up an accepted connection, which owns the descriptor from then on. Returns false if the setup fails; the
    /// descriptor is then closed.
    private func open(_ client: AcceptedClient) -> Bool {
        let isTLS = client.role != .http
        // From here on `transport` owns the descriptor and closes it.
        var transport = Transport(descriptor: client.descriptor)
        if isTLS {
            guard let tls = try? TLSConnection(server: serverTLS, wire: memory.wire) else { return false }
            transport.tls = consume tls
        }
        guard let id = clients.insert(ClientConnection(transport, client.role, client.peer, at: clock.nanoseconds))
        else {
            return false
        }
        do {
            try poller.add(client.descriptor, Token(.client, id))
        } catch {
            _ = clients.remove(id)
            return false
        }
        metrics.add(.connectionsAccepted, 1)
        setDeadline(
            client: id, inMilliseconds: isTLS ? settings.handshakeMilliseconds : settings.headMilliseconds)
        return true
    }
}
