import Glibc

extension Worker {
    /// How many places in the slab are searched for a connection to close. At most `candidates` waiting connections
    /// among them are compared. Some dozens are enough to find a connection that has waited almost longest.
    private static let placesLookedAt = 1024
    private static let candidates = 64
    /// The minimum time that a client must have waited with its handshake or head before its connection may be closed,
    /// in milliseconds. A client that has waited less may have sent bytes that are not read yet.
    private static let leastWaitMilliseconds: Int64 = 20

    /// Whether there is room for another connection.
    enum Room: Equatable {
        case made
        /// All connections have requests in progress.
        case none
        /// The connection to close may have sent bytes that are not read yet. It can be closed after this time.
        case later(milliseconds: Int64)
    }

    /// A connection without a request in progress.
    private struct Waiting {
        let id: SlotID
        /// How much of its allowed time the client has used, in millionths.
        let share: Int64
        /// The time until the connection may be closed, in milliseconds.
        let protected: Int64
    }

    /// Closes a connection that has no request in progress, so that another client can connect. Some connections are
    /// compared. Each has a time limit for its handshake, head, body or next request, and the connection that has used
    /// the largest share of its limit is closed.
    ///
    /// - Parameters:
    ///   - politely: Whether an idle connection is closed in an orderly way, which uses the worker's memory.
    ///   - mayWait: Whether the result may be `later`. If not, only connections that may be closed now are compared.
    func makeRoom(politely: Bool, mayWait: Bool) -> Room {
        var chosen: Waiting?
        var left = Self.candidates
        for _ in 0..<min(Self.placesLookedAt, clients.indices.count) where left > 0 {
            clientHand = (clientHand + 1) % UInt32(clients.indices.count)
            guard let id = clients.id(at: clientHand), let waiting = waiting(id) else { continue }
            left -= 1
            guard mayWait || waiting.protected == 0, waiting.share >= chosen?.share ?? 0 else { continue }
            chosen = waiting
        }
        guard let chosen else { return .none }
        guard chosen.protected == 0 else { return .later(milliseconds: chosen.protected) }
        metrics.add(.connectionsEvicted, 1)
        if politely {
            switch clients[chosen.id].phase {
            case .open where !clients[chosen.id].isInHead: goodbye(chosen.id)
            case .multiplexed: endMultiplexed(chosen.id)
            default: break
            }
        }
        if clients.contains(chosen.id) { abort(chosen.id) }
        return .made
    }

    /// How much of its time a connection has used, and when it may be closed. Nil if it must not be closed.
    private func waiting(_ id: SlotID) -> Waiting? {
        guard !clients[id].isStream else { return nil }
        let allowed: Int64
        var isIdle = false
        switch clients[id].phase {
        case .handshake, .awaitingCertificate:
            let waited = Int64((clock.nanoseconds - clients[id].acceptedAt) / 1_000_000)
            return Self.waiting(id, waited, of: settings.handshakeMilliseconds, least: Self.leastWaitMilliseconds)
        case .open where isCollecting(id):
            // The connection may be closed, since no byte of its request was sent to an upstream.
            allowed = settings.bodyProgressMilliseconds
        case .open:
            guard clients[id].exchange.isNone, clients[id].discarding == nil, !clients[id].isQueued,
                clients[id].transport.isFlushed
            else { return nil }
            isIdle = clients[id].requests > 0 && !clients[id].isInHead
            allowed = isIdle ? settings.clientIdleMilliseconds : settings.headMilliseconds
        case .multiplexed:
            guard clients[id].transport.isFlushed else { return nil }
            guard clients[id].streams == 0 else { return collectingStream(of: id) }
            isIdle = !clients[id].isInHead
            allowed = isIdle ? settings.clientIdleMilliseconds : settings.headMilliseconds
        case .lingering: allowed = Self.lingerSilenceMilliseconds
        case .tunnel, .closing: return nil
        }
        let deadline = clients[id].deadline.milliseconds
        guard deadline != .max else { return nil }
        let left = deadline - clock.milliseconds
        // The clock does not advance during a turn, so an idle client may have waited longer than the clock shows.
        return Self.waiting(
            id, max(1, allowed - min(left, allowed)), of: allowed, least: isIdle ? 0 : Self.leastWaitMilliseconds)
    }

    /// How long a connection of HTTP/2 has waited if all its streams are collecting bodies: as long as the stream that
    /// has waited least. Nil if some stream is not collecting a body, since the connection must not be closed then.
    private func collectingStream(of id: SlotID) -> Waiting? {
        var least: Int64?
        for stream in clients[id].http2?.streams ?? [] {
            let stream = SlotID(number: stream.owner)
            guard clients.contains(stream), clients[stream].phase == .open, isCollecting(stream) else { return nil }
            let left = clients[stream].deadline.milliseconds - clock.milliseconds
            least = min(least ?? .max, max(1, settings.bodyProgressMilliseconds - left))
        }
        return least.map {
            Self.waiting(id, $0, of: settings.bodyProgressMilliseconds, least: Self.leastWaitMilliseconds)
        }
    }

    private func isCollecting(_ id: SlotID) -> Bool {
        !clients[id].exchange.isNone && exchanges[clients[id].exchange].isCollecting
    }

    private static func waiting(_ id: SlotID, _ waited: Int64, of allowed: Int64, least: Int64) -> Waiting {
        Waiting(id: id, share: waited * 1_000_000 / max(1, allowed), protected: max(0, least - waited))
    }

    /// Frees a descriptor. An idle connection to an upstream is closed, or else a client's connection without a request
    /// in progress.
    private func freeDescriptor(politely: Bool) -> Bool {
        report(Shortage.descriptors)
        for _ in 0..<min(Self.placesLookedAt, upstreams.indices.count) {
            upstreamHand = (upstreamHand + 1) % UInt32(upstreams.indices.count)
            guard let id = upstreams.id(at: upstreamHand) else { continue }
            switch upstreams[id].phase {
            case .idle: closeIdle(id)
            case .multiplexed where upstreams[id].streams == 0: close(upstream: id)
            default: continue
            }
            return true
        }
        return makeRoom(politely: politely, mayWait: false) == .made
    }

    /// Creates a socket for a connection to an upstream. If there are too few descriptors, another connection is
    /// closed.
    func makeUpstreamSocket(family: Int32) throws(SystemFailure) -> Int32 {
        // `politely` is false, since an exchange may be using the worker's memory.
        let made = try withinDescriptors(politely: false) { () throws(SystemFailure) in try Socket.make(family: family)
        }
        guard let made else { throw SystemFailure("socket", code: EMFILE) }
        return made
    }

    /// Creates a descriptor for a connection. The highest numbers are kept free for libraries, since some libraries end
    /// the process if no descriptor is free. If the new descriptor has such a number, another connection is closed. If
    /// there is none to close, the call throws EMFILE.
    ///
    /// - Parameter politely: As for `makeRoom`.
    func withinDescriptors(politely: Bool, _ make: () throws(SystemFailure) -> Int32?) throws(SystemFailure) -> Int32? {
        var made: Int32?
        do throws(SystemFailure) {
            made = try make()
        } catch {
            guard [EMFILE, ENFILE].contains(error.code), freeDescriptor(politely: politely) else { throw error }
            made = try make()
        }
        // The kernel returns the lowest free number. So a high number shows that few descriptors are free.
        guard let descriptor = made, descriptor >= settings.descriptorCeiling else { return made }
        guard freeDescriptor(politely: politely) else {
            Socket.close(descriptor)
            throw SystemFailure("socket", code: EMFILE)
        }
        return descriptor
    }
}
