import ConfigModel
import PKI

/// Whose certificates are believed.
enum UpstreamTrust: Sendable {
    /// The CAs', as TLS has them.
    case known(TLSClientContext)
    /// Nobody's: the CAs' file can't be used, for this reason. Connections fail rather than trust others.
    case unusable(String)

    /// Whether what was read just now takes the place of this, as what can be used and is another does.
    func mayBecome(_ present: UpstreamTrust) -> Bool {
        switch (self, present) {
        case (.known(let former), .known(let new)): former.trust != new.trust
        case (.known, .unusable): false
        case (.unusable(let former), .unusable(let new)): former != new
        case (.unusable, .known): true
        }
    }
}

/// An upstream as all workers know it. Immutable.
struct UpstreamDefinition: Sendable {
    let number: UpstreamNumber
    let upstream: Upstream
    /// What a request's Host says where the client's is not kept.
    let authority: [UInt8]
    /// The name or address that its certificate must be for; nil without TLS.
    let serverName: String?
    let trust: UpstreamTrust
    /// As the log names it.
    let logName: [UInt8]
    /// Whether it has a name that is looked up.
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

/// A worker's connections to one upstream, and what it has seen of it.
struct UpstreamPool: ~Copyable {
    /// After so many failures in a row an upstream is left out for a while.
    static let failuresToEject = 3
    /// How long, in milliseconds.
    static let ejectionMilliseconds: Int64 = 10_000
    /// How many idle connections are kept.
    static let maxIdle = 256
    /// How long an idle connection is kept, in milliseconds.
    static let idleMilliseconds: Int64 = 60_000

    let definition: UpstreamDefinition
    /// Where it is; several addresses take turns.
    private(set) var addresses: [SocketAddress] = []
    /// Until when each address is left to the others, in milliseconds: no connection was made there.
    private var skippedUntil: [Int64] = []
    private var nextAddress = 0
    private var nextAsk: Int64 = 0
    /// Why there is no address.
    var resolutionFailure = "its name is not resolved yet"
    /// Whether health checks find it well; true where there are none.
    var isHealthy = true
    var failures = 0
    /// Left out until then, in milliseconds.
    var ejectedUntil: Int64 = 0
    /// The group that TLS has last come to with it: a key for another one would cost another hello.
    var group = TLSGroup.x25519
    /// How many exchanges are with it.
    var active = 0
    /// What was counted since it was last told.
    var traffic = UpstreamTraffic()
    /// Whether its definition is gone.
    var isRetired = false
    var newestIdle = SlotID.none
    var oldestIdle = SlotID.none
    var idleCount = 0

    init(_ definition: UpstreamDefinition) { self.definition = definition }

    /// Sets where it is; false when it is where it was. What failed at other addresses says nothing about new ones.
    mutating func place(at places: [SocketAddress]) -> Bool {
        guard places != addresses else { return false }
        if !places.allSatisfy(addresses.contains) { (failures, ejectedUntil) = (0, 0) }
        addresses = places
        skippedUntil = Array(repeating: 0, count: places.count)
        return true
    }

    /// Whether its name is to be looked up after a failure: once a second at most.
    mutating func mayAsk(at milliseconds: Int64) -> Bool {
        guard definition.hasName, milliseconds >= nextAsk else { return false }
        nextAsk = milliseconds + 1000
        return true
    }

    /// The place of the next address in turn, past those that are left to the others. There must be one.
    mutating func takeTurn(at milliseconds: Int64) -> Int {
        let first = nextAddress % addresses.count
        var turn = first
        while skippedUntil[turn] > milliseconds {
            turn = (turn + 1) % addresses.count
            // When all are, whichever is next.
            if turn == first { break }
        }
        nextAddress = turn + 1
        return turn
    }

    /// Leaves an address to the others for a while.
    mutating func skip(_ turn: Int, at milliseconds: Int64) {
        guard turn < skippedUntil.count else { return }
        skippedUntil[turn] = milliseconds + Self.ejectionMilliseconds
    }

    /// Whether requests should go there at a time.
    func isAvailable(at milliseconds: Int64) -> Bool {
        isHealthy && ejectedUntil <= milliseconds && !addresses.isEmpty
    }
}
