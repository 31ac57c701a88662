/// Responses that can have no body, whatever their fields say (RFC 9112 section 6.3). A server may send one
/// nevertheless.
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
/// When bytes arrive, nothing tells whether the server had read the request when it sent them: its kernel acknowledges
/// a request that the server has not read. So new upstreams are observed before their connections are relied upon.
struct UpstreamHabits {
    /// How long a new connection listens, in milliseconds, while it is unknown whether the upstream speaks first. It
    /// listens longer if connecting took longer.
    static let listeningMilliseconds: Int64 = 100
    /// How long a connection is watched after a response to HEAD, in milliseconds. Meanwhile the connection gets no
    /// request.
    static let watchMilliseconds: Int64 = 2000

    /// Whether the upstream was seen to send nothing before the first request.
    private(set) var waitsForRequests = false
    /// The kinds of responses after which the upstream has sent a body, or other bytes that belong to no request.
    private var speaksAfter: BodilessResponses = []
    /// Whether the upstream was seen to send nothing after a response to HEAD.
    private var isSilentAfterHEAD = false
    /// Whether some connection to this upstream is watched at present.
    private var isWatching = false

    /// Whether a connection may be kept after a response of this kind. False for a response to HEAD while another
    /// connection to this upstream is watched.
    func mayKeep(after response: BodilessResponses) -> Bool {
        speaksAfter.isDisjoint(with: response) && !(response == .toHEAD && isWatching)
    }

    /// Begins to watch a connection after a response of this kind. Returns false if that is not necessary.
    mutating func watch(after response: BodilessResponses) -> Bool {
        guard response == .toHEAD, !isSilentAfterHEAD else { return false }
        isWatching = true
        return true
    }

    /// Called when the watch ends. `isSilent` says that nothing arrived during the whole watch.
    mutating func endWatch(isSilent: Bool) {
        isWatching = false
        if isSilent { isSilentAfterHEAD = true }
    }

    /// Called when a new connection has received nothing while it listened.
    mutating func noteSilence() { waitsForRequests = true }

    /// Called when bytes that belong to no request have arrived. `responses` is how many responses the connection had
    /// before these bytes, and `last` is the kind of the last response.
    mutating func noteUnasked(after responses: Int, last: BodilessResponses) {
        speaksAfter.formUnion(last)
        // Without any response, the server spoke first. After one response, it may have spoken first too: its own first
        // bytes then counted as the response, and these bytes are the answer to the request.
        if responses <= 1, last.isEmpty { waitsForRequests = false }
    }
}
