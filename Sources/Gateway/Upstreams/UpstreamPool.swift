import ConfigModel
import PKI

/// The CAs that the gateway trusts when it connects to an upstream.
enum UpstreamTrust: Sendable {
    /// The upstream's certificate must come from a CA of this context.
    case known(TLSClientContext)
    /// The file of CAs can't be used, for this reason. Connections fail, since trusting other CAs would be unsafe.
    case unusable(String)

    /// Whether newly read CAs replace these. They must differ, and unusable CAs do not replace usable ones.
    func mayBecome(_ present: UpstreamTrust) -> Bool {
        switch (self, present) {
        case (.known(let former), .known(let new)): former.trust != new.trust
        case (.known, .unusable): false
        case (.unusable(let former), .unusable(let new)): former != new
        case (.unusable, .known): true
        }
    }
}

/// The definition of an upstream, the same for all workers. Immutable.
struct UpstreamDefinition: Sendable {
    let number: UpstreamNumber
    let upstream: Upstream
    /// The value of Host in requests, unless the client's Host is kept.
    let authority: [UInt8]
    /// The name or address that the upstream's certificate must be valid for; nil without TLS.
    let serverName: String?
    let trust: UpstreamTrust
    /// The upstream's text in the access log.
    let logName: [UInt8]
    /// Whether the upstream has a host name that must be resolved.
    let hasName: Bool

    init(number: UpstreamNumber, upstream: Upstream, trust: UpstreamTrust) {
        self.number = number
        self.upstream = upstream
        self.trust = trust
        logName = Array(upstream.text.utf8)
        hasName = upstream.nameToResolve != nil
        switch upstream.transport {
        case .http(let host, let port):
            authority = Array((port == 80 ? host : "\(host):\(port)").utf8)
            serverName = nil
        case .https(let host, let port):
            authority = Array((port == 443 ? host : "\(host):\(port)").utf8)
            serverName = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        case .unix:
            authority = Array("localhost".utf8)
            serverName = nil
        }
    }
}

/// A worker's connections to one upstream, and the upstream's recent failures.
struct UpstreamPool: ~Copyable {
    /// After this many failures in a row an upstream gets no requests for a while.
    static let failuresToEject = 3
    /// How long an upstream gets no requests after `failuresToEject` failures, in milliseconds.
    static let ejectionMilliseconds: Int64 = 10_000
    /// The most idle connections to keep.
    static let maxIdle = 256
    /// How long to keep an idle connection, in milliseconds.
    static let idleMilliseconds: Int64 = 60_000

    let definition: UpstreamDefinition
    /// The resolved addresses of the upstream; connections use them in turn.
    private(set) var addresses: [SocketAddress] = []
    /// For each address, the time until which it is skipped because no connection could be made, in milliseconds.
    private var skippedUntil: [Int64] = []
    private var nextAddress = 0
    private var nextAsk: Int64 = 0
    /// The reason why `addresses` is empty.
    var resolutionFailure = "its name is not resolved yet"
    /// Whether the health checks succeed; true without health checks.
    var isHealthy = true
    var failures = 0
    /// The time until which the upstream gets no requests, in milliseconds.
    var ejectedUntil: Int64 = 0
    /// The key-exchange group that the upstream chose last. Offering a key share of another group would cost a second
    /// ClientHello.
    var group = TLSGroup.x25519
    /// The number of exchanges that use the upstream now.
    var active = 0
    /// The traffic counted since the last report.
    var traffic = UpstreamTraffic()
    /// Whether the definition has been removed. A retired pool stays until its last exchange is done.
    var isRetired = false
    var newestIdle = SlotID.none
    var oldestIdle = SlotID.none
    var idleCount = 0

    init(_ definition: UpstreamDefinition) { self.definition = definition }

    /// Sets the addresses; returns false when nothing changed. New addresses reset the failures, which only concern the
    /// old addresses.
    mutating func place(at places: [SocketAddress]) -> Bool {
        guard places != addresses else { return false }
        if !places.allSatisfy(addresses.contains) { (failures, ejectedUntil) = (0, 0) }
        addresses = places
        skippedUntil = Array(repeating: 0, count: places.count)
        return true
    }

    /// Whether to resolve the upstream's name after a failure, at most once a second.
    mutating func mayAsk(at milliseconds: Int64) -> Bool {
        guard definition.hasName, milliseconds >= nextAsk else { return false }
        nextAsk = milliseconds + 1000
        return true
    }

    /// The index of the next address in turn, passing over skipped ones. There must be at least one address.
    mutating func takeTurn(at milliseconds: Int64) -> Int {
        let first = nextAddress % addresses.count
        var turn = first
        while skippedUntil[turn] > milliseconds {
            turn = (turn + 1) % addresses.count
            // When all addresses are skipped, the next one is used anyway.
            if turn == first { break }
        }
        nextAddress = turn + 1
        return turn
    }

    /// Skips an address for `ejectionMilliseconds`, since no connection to it could be made.
    mutating func skip(_ turn: Int, at milliseconds: Int64) {
        guard turn < skippedUntil.count else { return }
        skippedUntil[turn] = milliseconds + Self.ejectionMilliseconds
    }

    /// Whether requests may go to the upstream at this time.
    func isAvailable(at milliseconds: Int64) -> Bool {
        isHealthy && ejectedUntil <= milliseconds && !addresses.isEmpty
    }
}
