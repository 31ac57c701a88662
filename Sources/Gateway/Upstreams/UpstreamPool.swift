import ConfigModel
import PKI

enum UpstreamTrust: Sendable {
    /// The certificate that the gateway shows to upstreams, and the version of its identity.
    struct Shown: Sendable {
        let credential: TLSCredential
        let version: [UInt8]
    }

    /// The rules for the upstream's certificate. Without rules, the certificate must come from a CA of the context. The
    /// last value is the certificate that the gateway shows; nil if it shows none.
    case known(TLSClientContext, PeerTrust?, Shown?)
    /// The CAs or the gateway's own identity can't be used, for this reason. All connections to the upstream fail,
    /// since trusting other CAs instead would be unsafe. `keepsFormer` says whether trust that was made before, under
    /// the same requirements, stays in force.
    case unusable(String, keepsFormer: Bool)

    /// Whether `present`, which was just made, replaces this trust. A different trust replaces it, but an unusable
    /// trust replaces a usable one only if the requirements have changed.
    func mayBecome(_ present: UpstreamTrust) -> Bool {
        switch (self, present) {
        case (.known(_, let former, let formerlyShown), .known(_, let new, let shown)):
            former?.rules.digest != new?.rules.digest || formerlyShown?.version != shown?.version
        case (.known, .unusable(_, let keepsFormer)): !keepsFormer
        case (.unusable(let former, _), .unusable(let new, _)): former != new
        case (.unusable, .known): true
        }
    }

    /// Whether the gateway shows a certificate of its own.
    var showsCertificate: Bool {
        if case .known(_, _, .some) = self { true } else { false }
    }

    /// Why the CAs or the identity can't be used; nil if they can.
    var failure: String? {
        switch self {
        case .known: nil
        case .unusable(let reason, _): reason
        }
    }
}

/// The properties of an upstream. All workers have the same.
struct UpstreamDefinition: Sendable {
    let number: UpstreamNumber
    let upstream: Upstream
    /// The value of the Host field in requests to the upstream, unless the host has `preserve_host`.
    let authority: [UInt8]
    /// The name or IP address for which the upstream's certificate must be valid. Nil for an upstream without TLS.
    let serverName: String?
    /// How connections verify the upstream. It changes with the CAs and the gateway's identity. Nil for an upstream
    /// without TLS.
    var trust: UpstreamTrust?
    /// How the access log names the upstream.
    let logName: [UInt8]
    /// Whether the upstream has a host name that must be resolved.
    let hasName: Bool

    /// `serverName` replaces the upstream's own name in TLS.
    init(number: UpstreamNumber, upstream: Upstream, trust: UpstreamTrust?, serverName name: String? = nil) {
        self.number = number
        self.upstream = upstream
        self.trust = trust
        logName = Array(upstream.text.utf8)
        hasName = upstream.nameToResolve != nil
        switch upstream.transport {
        case .http(let host, let port), .h2c(let host, let port):
            authority = Array((port == 80 ? host : "\(host):\(port)").utf8)
            serverName = nil
        case .https(let host, let port):
            authority = Array((port == 443 ? host : "\(host):\(port)").utf8)
            serverName = name ?? (host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host)
        case .unix:
            authority = Array("localhost".utf8)
            serverName = nil
        }
    }
}

struct UpstreamPool: ~Copyable {
    /// After this many failures in a row the upstream is ejected: for a while it gets requests only if no upstream of the
    /// host is available.
    static let failuresToEject = 3
    /// How long an upstream is ejected, in milliseconds.
    static let ejectionMilliseconds: Int64 = 10_000
    /// The largest number of idle connections that each worker keeps to an upstream.
    static let maxIdle = 256
    /// How long an idle connection is kept, in milliseconds.
    static let idleMilliseconds: Int64 = 60_000

    var definition: UpstreamDefinition
    /// The upstream's resolved addresses. New connections use them in turn.
    private(set) var addresses: [SocketAddress] = []
    /// For each address, the time until which new connections avoid the address after a failure. In milliseconds of the
    /// event loop's clock.
    private var skippedUntil: [Int64] = []
    private var nextAddress = 0
    private var nextAsk: Int64 = 0
    /// The reason why `addresses` is empty.
    var resolutionFailure = "its name is not resolved yet"
    /// Whether the health checks succeed. Always true for an upstream without health checks.
    var isHealthy = true
    private var failures = 0
    /// The time until which the upstream gets no requests, in milliseconds of the event loop's clock.
    private var ejectedUntil: Int64 = 0
    /// The group that the upstream chose for the last key exchange. If the gateway offered a key share of another
    /// group, the handshake would need a second ClientHello.
    var group = TLSGroup.x25519
    /// The scope of TLS sessions that new connections may resume; 0 until there is one. It changes with the trust.
    var sessionScope: UInt64 = 0
    /// What the upstream was seen to send unasked. The habits stay when the name resolves to new addresses, since the
    /// addresses of load balancers change each minute.
    var habits = UpstreamHabits()
    /// The number of exchanges that use the upstream at present.
    var active = 0
    /// The traffic since the worker's previous report.
    var traffic = UpstreamTraffic()
    /// Whether the state no longer has this upstream's definition. The pool stays until its last exchange has ended.
    var isRetired = false
    var newestIdle = SlotID.none
    var oldestIdle = SlotID.none
    var idleCount = 0
    /// The connections of HTTP/2 that may get more streams.
    var carriers: [SlotID] = []

    init(_ definition: UpstreamDefinition) { self.definition = definition }

    /// Sets the addresses. Returns false if they have not changed. If there is a new address, the upstream is no longer
    /// ejected, since its failures concern the old addresses.
    mutating func setAddresses(_ places: [SocketAddress]) -> Bool {
        guard places != addresses else { return false }
        if !places.allSatisfy(addresses.contains) { forgetFailures() }
        addresses = places
        skippedUntil = Array(repeating: 0, count: places.count)
        return true
    }

    /// Lets the upstream get requests again, whatever its failures were. Called when it has answered, too.
    mutating func forgetFailures() { (failures, ejectedUntil) = (0, 0) }

    /// Counts a failure. Returns true if the upstream is ejected because of it.
    mutating func noteFailure(at milliseconds: Int64) -> Bool {
        failures += 1
        guard failures >= Self.failuresToEject, ejectedUntil <= milliseconds else { return false }
        ejectedUntil = milliseconds + Self.ejectionMilliseconds
        return true
    }

    /// Whether the upstream's name should be resolved again after a failure. This is true at most once a second.
    mutating func mayAsk(at milliseconds: Int64) -> Bool {
        guard definition.hasName, milliseconds >= nextAsk else { return false }
        nextAsk = milliseconds + 1000
        return true
    }

    /// Returns the index of the next address that is not skipped. Nil if there is no address.
    mutating func chooseAddress(at milliseconds: Int64) -> Int? {
        guard !addresses.isEmpty else { return nil }
        let first = nextAddress % addresses.count
        var turn = first
        while skippedUntil[turn] > milliseconds {
            turn = (turn + 1) % addresses.count
            // If all addresses are skipped, the next address is used anyway.
            if turn == first { break }
        }
        nextAddress = turn + 1
        return turn
    }

    /// Called when a connection to the address failed. New connections skip the address for `ejectionMilliseconds`.
    mutating func skip(_ turn: Int, at milliseconds: Int64) {
        guard turn < skippedUntil.count else { return }
        skippedUntil[turn] = milliseconds + Self.ejectionMilliseconds
    }

    func isAvailable(at milliseconds: Int64) -> Bool {
        isHealthy && ejectedUntil <= milliseconds && !addresses.isEmpty
    }
}
