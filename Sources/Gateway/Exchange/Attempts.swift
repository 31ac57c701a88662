/// The attempts to send one request to an upstream, and where the request goes after an attempt has failed.
///
/// While no byte of the request was sent, each address of an upstream and each upstream of the site is tried once. A
/// request that may have reached an upstream is repeated at most once, and only if that has the same effect as sending it
/// once. This type does no I/O.
struct Attempts {
    /// What is known of an attempt that has failed.
    struct Failure {
        /// The connection has failed before it could carry a request: while connecting, in the TLS handshake, or because
        /// the upstream spoke first.
        var isBeforeRequest = false
        /// No byte of the request was sent on the connection.
        var isUntouched = false
        /// The connection had carried another request before. A server may close such a connection at any time (RFC 9112
        /// section 9.3.1), so the failure says nothing about the server.
        var wasReused = false
        /// The upstream has said that it did not process the request (RFC 9113 section 8.7), and the gateway still holds all
        /// that it has sent of the request.
        var isRefused = false
        var timedOut = false
    }

    enum Next: Equatable {
        /// The same upstream, by a new connection. Other idle connections are not tried, since the upstream may have
        /// closed them too. With HTTP/2, any connection that can get another stream is used.
        case newConnection
        /// The next address of the same upstream.
        case nextAddress
        case nextUpstream
        /// There is nothing left to try, so the client gets an error.
        case none
    }

    /// Whether the next attempt must open a new connection, because an idle connection was dead.
    private(set) var wantsNewConnection = false
    /// Whether new connections must not resume TLS sessions, because a handshake that offered one has failed.
    private(set) var wantsFullHandshake = false
    /// The index, among the site's upstreams, of the one that is tried next.
    private(set) var candidate = 0
    /// How many upstreams were assigned so far.
    private var upstreams = 0
    /// How many of the present upstream's addresses have failed.
    private var failedAddresses = 0
    /// Whether the request was already sent to an upstream a second time.
    private var wasRepeated = false
    /// How many times an upstream has said that it did not process the request.
    private var refusals = 0
    /// How many times a refused request is sent again to the same upstream.
    static let mostRefusals = 3

    /// Sets the index of the upstream that is tried first.
    mutating func begin(with candidate: Int) { self.candidate = candidate }

    /// Called when the upstream at `index` was assigned. Of `count` upstreams, the following one is tried next.
    mutating func assign(_ index: Int, of count: Int) {
        candidate = (index + 1) % count
        upstreams += 1
        failedAddresses = 0
    }

    /// Called when a handshake that offered a TLS session has failed.
    mutating func avoidResumption() { wantsFullHandshake = true }

    /// Decides what follows after a failure.
    ///
    /// - Parameters:
    ///   - isRepeatable: Whether sending the request a second time is possible, and has the same effect as sending it
    ///     once.
    ///   - addresses: The number of addresses of the present upstream.
    ///   - upstreams: The number of upstreams of the site; 0 for a health check, which concerns one upstream.
    mutating func next(after failure: Failure, isRepeatable: Bool, addresses: Int, upstreams: Int) -> Next {
        if failure.isRefused {
            refusals += 1
            if refusals <= Self.mostRefusals { return .newConnection }
            return self.upstreams < upstreams ? .nextUpstream : .none
        }
        let mayRepeat = isRepeatable && !wasRepeated && !failure.timedOut
        if failure.wasReused, !failure.timedOut, failure.isUntouched || mayRepeat {
            (wasRepeated, wantsNewConnection) = (true, true)
            return .newConnection
        }
        if failure.isBeforeRequest, addresses > 1 {
            failedAddresses += 1
            if failedAddresses < addresses { return .nextAddress }
        }
        if failure.isBeforeRequest, self.upstreams < upstreams { return .nextUpstream }
        guard mayRepeat, upstreams > 1 else { return .none }
        wasRepeated = true
        return .nextUpstream
    }
}
