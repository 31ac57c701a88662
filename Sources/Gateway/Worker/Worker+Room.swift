import Glibc

extension Worker {
    /// How many places are looked at, and how many connections among them, for the one that has waited the longest. It need
    /// not be the very longest of all: a few dozen samples come near to that.
    private static let placesLookedAt = 1024
    private static let candidates = 64
    /// How long a client must have kept us waiting for its handshake or head, in milliseconds: what it has sent may wait to be
    /// read.
    private static let leastWaitMilliseconds: Int64 = 20

    /// Closes a connection of this worker that has no request on its way, so that another client can come: of some, the one
    /// that has used up most of the time it may take for its handshake, its head, a small body, or its next request.
    ///
    /// - Parameter politely: whether an idle client is told so, which writes through the worker's memory.
    /// - Returns: Whether there was one.
    func makeRoom(politely: Bool) -> Bool {
        var chosen: SlotID?
        var most: Int64 = 0
        var left = Self.candidates
        for _ in 0..<min(Self.placesLookedAt, clients.indices.count) where left > 0 {
            clientHand = (clientHand + 1) % UInt32(clients.indices.count)
            guard let id = clients.id(at: clientHand), let share = shareWaited(id) else { continue }
            left -= 1
            if share > most { (chosen, most) = (id, share) }
        }
        guard let chosen else { return false }
        metrics.add(.connectionsEvicted, 1)
        if politely, clients[chosen].phase == .open, clients[chosen].inbox.isEmpty { goodbye(chosen) }
        if clients.contains(chosen) { abort(chosen) }
        return true
    }

    /// How much of its time a client has used up that keeps us waiting, in millionths; nil for others.
    private func shareWaited(_ id: SlotID) -> Int64? {
        let allowed: Int64
        var isIdle = false
        switch clients[id].phase {
        case .handshake, .awaitingCertificate:
            let waited = unsafe Int64((clock.nanoseconds - clients[id].acceptedAt) / 1_000_000)
            return unsafe Self.share(waited, of: settings.handshakeMilliseconds, least: Self.leastWaitMilliseconds)
        case .open where isCollecting(id):
            // No upstream has heard of its request yet.
            allowed = unsafe settings.bodyProgressMilliseconds
        case .open:
            guard clients[id].exchange.isNone, clients[id].discarding == nil, !clients[id].isQueued,
                clients[id].transport.isFlushed
            else { return nil }
            isIdle = clients[id].requests > 0 && clients[id].inbox.isEmpty
            allowed = unsafe isIdle ? settings.idleMilliseconds : settings.headMilliseconds
        case .lingering: allowed = Self.lingerSilenceMilliseconds
        case .tunnel, .closing: return nil
        }
        let deadline = clients[id].deadline.milliseconds
        guard deadline != .max else { return nil }
        let left = unsafe deadline - clock.milliseconds
        // The clock stands still within a turn, so one that is idle may have been so for longer than that tells.
        return Self.share(
            max(1, allowed - min(left, allowed)), of: allowed, least: isIdle ? 0 : Self.leastWaitMilliseconds)
    }

    private func isCollecting(_ id: SlotID) -> Bool {
        !clients[id].exchange.isNone && exchanges[clients[id].exchange].isCollecting
    }

    private static func share(_ waited: Int64, of allowed: Int64, least: Int64) -> Int64? {
        waited < least ? nil : waited * 1_000_000 / max(1, allowed)
    }

    /// Frees a descriptor: of an upstream's idle connection, or of a client that keeps us waiting.
    private func freeDescriptor(politely: Bool) -> Bool {
        report(Shortage.descriptors)
        for _ in 0..<min(Self.placesLookedAt, upstreams.indices.count) {
            upstreamHand = (upstreamHand + 1) % UInt32(upstreams.indices.count)
            guard let id = upstreams.id(at: upstreamHand), upstreams[id].phase == .idle else { continue }
            closeIdle(id)
            return true
        }
        return makeRoom(politely: politely)
    }

    /// A socket to an upstream.
    func makeUpstreamSocket(family: Int32) throws(SystemFailure) -> Int32 {
        // An exchange may be in the middle of this worker's memory.
        let made = try withinDescriptors(politely: false) { () throws(SystemFailure) in try Socket.make(family: family)
        }
        guard let made else { throw SystemFailure("socket", code: EMFILE) }
        return made
    }

    /// Has a descriptor made for a connection. The last ones of the process are not connections': libraries end it when they
    /// find none. What would take one of them takes the place of a connection that waits, or fails.
    ///
    /// - Parameter politely: as `makeRoom` has it.
    func withinDescriptors(politely: Bool, _ make: () throws(SystemFailure) -> Int32?) throws(SystemFailure) -> Int32? {
        var made: Int32?
        do throws(SystemFailure) {
            made = try make()
        } catch {
            guard [EMFILE, ENFILE].contains(error.code), freeDescriptor(politely: politely) else { throw error }
            made = try make()
        }
        // The kernel gives the lowest number that is free.
        guard let descriptor = made, unsafe descriptor >= settings.descriptorCeiling else { return made }
        guard freeDescriptor(politely: politely) else {
            Socket.close(descriptor)
            throw SystemFailure("socket", code: EMFILE)
        }
        return descriptor
    }
}
