import Glibc
import PKI

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
        for listener in listeners where isAffected(listener) {
            // The kernel has already established the waiting connections. Closing the listener would reset these
            // connections.
            while acceptingWaiting, accept(at: listener) {}
            poller.remove(listener.descriptor)
            Socket.close(listener.descriptor)
        }
        listeners.removeAll(where: isAffected)
    }

    func acceptClients(at descriptor: Int) {
        guard let listener = listeners.first(where: { Int($0.descriptor) == descriptor }) else { return }
        for _ in 0..<Self.acceptBatch {
            guard accept(at: listener) else { return }
        }
    }

    /// Stops watching the listeners for a moment after accepting has failed. Otherwise the waiting connections would
    /// wake the event loop again and again, although no descriptor is free for them.
    private func pauseAccepting() {
        guard !isAcceptingPaused else { return }
        isAcceptingPaused = true
        for listener in listeners { poller.remove(listener.descriptor) }
        _ = wheel.enter(Token(.listener), at: clock.milliseconds + Self.acceptPauseMilliseconds)
    }

    func resumeAccepting() {
        isAcceptingPaused = false
        for listener in listeners { try? watch(listener) }
    }

    private func watch(_ listener: Listener) throws(SystemFailure) {
        try poller.addLevelTriggered(
            listener.descriptor, Token(.listener, SlotID(index: UInt32(listener.descriptor), generation: 0)))
    }

    /// Accepts one connection. Returns false if no connection waits or if accepting fails.
    private func accept(at listener: Listener) -> Bool {
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
            pauseAccepting()
            return false
        }
        guard admits(peer, listener.role) else {
            metrics.add(.connectionsRefused, 1)
            Socket.close(descriptor)
            return true
        }
        Socket.setNoDelay(descriptor)
        if !open(descriptor, peer, listener.role) { connections.leave(peer.key) }
        return true
    }

    /// Counts one more connection of a client, if the limits allow it. If the total limit is reached, a connection
    /// without a request in progress is closed to make room.
    private func admits(_ peer: PeerAddress, _ role: ListenerRole) -> Bool {
        let total = role.isAdmin ? Self.adminConnections : settings.connections
        let perClient = role.isAdmin || isTrusted(peer) ? nil : settings.connectionsPerClient
        switch connections.admit(peer.key, total: total, perClient: perClient) {
        case .admitted: return true
        case .tooManyOfClient:
            report(Shortage.connectionsOfClient, client: peer)
            return false
        case .full:
            if !role.isAdmin { report(Shortage.connections) }
            return makeRoom(politely: true)
                && connections.admit(peer.key, total: total, perClient: perClient) == .admitted
        }
    }

    /// Sets up an accepted connection, which owns the descriptor from then on. Returns false if the setup fails; the
    /// descriptor is then closed.
    private func open(_ descriptor: Int32, _ peer: PeerAddress, _ role: ListenerRole) -> Bool {
        let isTLS = role != .http
        // From here on `transport` owns the descriptor and closes it.
        var transport = Transport(descriptor: descriptor)
        if isTLS {
            guard let tls = try? TLSConnection(server: serverTLS, wire: memory.wire) else { return false }
            transport.tls = consume tls
        }
        let client = ClientConnection(
            transport: transport, listener: role, peer: peer, acceptedAt: clock.nanoseconds,
            phase: isTLS ? .handshake : .open)
        guard let id = clients.insert(client) else { return false }
        do {
            try poller.add(descriptor, Token(.client, id))
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
