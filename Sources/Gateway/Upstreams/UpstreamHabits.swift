/// Responses that can have no body, whatever their fields say (RFC 9112 section 6.3). A server may send one nevertheless.
struct BodilessResponses: OptionSet {
    let rawValue: UInt8

    /// Responses to HEAD.
    static let toHEAD = BodilessResponses(rawValue: 1)
    /// Responses with status 204 or 304 to other methods.
    static let byStatus = BodilessResponses(rawValue: 2)
}

/// What an upstream was seen to send, or not to send, without a request. On a connection with such bytes, each request
/// would get the response to the request before it, which may be another client's.
///
/// When bytes arrive, nothing tells whether the server had read the request when it sent them: its kernel acknowledges a
/// request that the server has not read. So new upstreams are observed before their connections are relied upon.
struct UpstreamHabits {
    /// How long a new connection listens, in milliseconds, while it is unknown whether the upstream speaks first. It
    /// listens longer if connecting took longer.
    static let listeningMilliseconds: Int64 = 100
    /// How long a connection is watched after a response to HEAD, in milliseconds.
    static let watchMilliseconds: Int64 = 2000

    /// Whether the upstream was seen to send nothing before the first request.
    private(set) var waitsForRequests = false
    /// The kinds of responses after which the upstream has sent a body, or anything else.
    private var speaksAfter: BodilessResponses = []
    /// Whether the upstream was seen to send nothing after a response to HEAD.
    private var isSilentAfterHEAD = false
    /// Whether a connection is watched at present.
    private var isWatching = false

    /// Whether a connection can take another request after such a response, now or after it was watched.
    func mayKeep(after response: BodilessResponses) -> Bool {
        speaksAfter.isDisjoint(with: response) && !(response == .toHEAD && isWatching)
    }

    /// Begins to watch a connection after such a response. Returns false if that is not necessary.
    mutating func watch(after response: BodilessResponses) -> Bool {
        guard response == .toHEAD, !isSilentAfterHEAD else { return false }
        isWatching = true
        return true
    }

    /// Called when the watch ends. With `isSilent`, nothing has arrived in all its time.
    mutating func endWatch(isSilent: Bool) {
        isWatching = false
        if isSilent { isSilentAfterHEAD = true }
    }

    /// Called when a new connection has listened and has heard nothing.
    mutating func noteSilence() { waitsForRequests = true }

    /// Called when bytes have arrived that belong to no request, after so many responses on the connection, of which the
    /// last was of the kind `last`.
    mutating func noteUnasked(after responses: Int, last: BodilessResponses) {
        speaksAfter.formUnion(last)
        // The response to the first request may come after another one, with which the server began.
        if responses <= 1, last.isEmpty { waitsForRequests = false }
    }
}
