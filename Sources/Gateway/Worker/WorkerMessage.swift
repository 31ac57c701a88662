import ConfigModel
import HTTP1
import PKI

/// What the control side tells a worker.
enum WorkerMessage: Sendable {
    /// A change of the state.
    case update(TableUpdate)
    /// A socket to listen on. The worker owns it from now on.
    case listen(Listener)
    /// What an address is for from now on.
    case setRole(ListenerRole, address: String)
    /// Takes no new connections from these addresses.
    case stopListening([String])
    /// Where an upstream is, as of now.
    case place(UpstreamPlace)
    /// What health checks say of an upstream.
    case health(UpstreamNumber, isHealthy: Bool)
    /// Asks an upstream for a path, and reports what came of it.
    case checkHealth(HealthProbe)
    /// Where certificates come from when the state has none.
    case fallback(FallbackSource)
    /// A certificate that handshakes wait for has come, or won't in time.
    case certificateSettled(name: String)
    /// New keys for session tickets.
    case tickets(TicketKeys)
    /// Where requests are logged from now on, and how.
    case accessLog(AccessLogSink?, AccessLog.Format)
    /// A second has passed.
    case tick
    /// Takes no new connections, and ends after those it has.
    ///
    /// When the listening sockets are `handedOver`, another process accepts what waits there.
    case drain(handedOver: Bool)
    /// Tells the clients of WebSockets that the gateway goes away.
    case closeTunnels
    /// Ends now.
    case stop
}

/// What changed in the state, made ready for workers: one value, shared by all of them.
struct TableUpdate: Sendable {
    /// The revision that these changes lead to.
    var revision = 0
    var generation = 0
    var settings: WorkerSettings?
    var sites: [Site] = []
    var removedSites: [String] = []
    var certificates: [CertificateEntry] = []
    var removedCertificates: [String] = []
    var upstreams: [UpstreamDefinition] = []
    /// Where these upstreams are, as far as it is known.
    var places: [UpstreamPlace] = []
    var removedUpstreams: [UpstreamNumber] = []
    var challenges: [([UInt8], [UInt8])] = []
    var challengeCertificates: [ChallengeEntry] = []
    var removedChallenges: [[UInt8]] = []
}

/// What validates a name in a TLS handshake (RFC 8737).
struct ChallengeEntry: Sendable {
    let token: [UInt8]
    /// The server name that the CA asks for, in lower case.
    let serverName: String
    let credential: TLSCredential
}

/// Where an upstream is.
struct UpstreamPlace: Sendable {
    let number: UpstreamNumber
    /// Empty when its name is not resolved, or can't be.
    var addresses: [SocketAddress] = []
    /// Why it can't be.
    var failure: String?
}

/// What a worker tells the control side.
enum WorkerReport: Sendable {
    /// A change of the state is in force.
    case applied(worker: Int, revision: Int)
    /// A request could not be answered by an upstream, for this reason.
    case upstreamFailed(host: String, upstream: String, reason: String, requestID: String)
    /// No connection could be made to an upstream that has a name, which may have other addresses by now.
    case upstreamUnreachable(UpstreamNumber)
    /// What a health check has found.
    case health(UpstreamNumber, isHealthy: Bool, reason: String)
    /// An upstream is left out for a while, or taken in again.
    case upstreamEjected(String, seconds: Int)
    /// A certificate of the state could not be used.
    case certificateFailed(name: String, reason: String)
    /// A handshake waits for a certificate that there is not yet.
    case certificateWanted(name: String)
    /// What was counted by host and by upstream.
    case traffic(TrafficReport)
    /// There is less of something than clients ask for; the address of the client that it concerns.
    case short(Shortage, client: String)
    /// No more connections can be taken; the `errno`.
    case acceptFailed(Int32)
    /// All connections are done.
    case drained(worker: Int)
}

/// What a client may find none left of.
enum Shortage: Sendable {
    case descriptors
    /// All connections that clients may have are taken.
    case connections
    /// The client has all those that it may.
    case connectionsOfClient
}

/// What a worker needs to begin.
struct WorkerSetup {
    let mailbox: Mailbox<WorkerMessage>
    let reports: Mailbox<WorkerReport>
    let metrics: WorkerMetrics
    let connections: ConnectionCounts
    let settings: WorkerSettings
    let tickets: TicketKeys
    let fallback: FallbackSource
    /// What tells this gateway from others to those who read the state; nil where nobody asks.
    var identity: String?
    var adminHandler: AdminHandler?
}

/// The gateway's settings as workers need them.
struct WorkerSettings: Sendable {
    var headLimits = HeadLimits()
    var trustedProxies: [NetworkBlock] = []
    /// The field that they name clients in.
    var clientAddress = ClientAddressField.xForwardedFor
    var handshakeMilliseconds: Int64 = 10_000
    var headMilliseconds: Int64 = 10_000
    var bodyProgressMilliseconds: Int64 = 30_000
    var idleMilliseconds: Int64 = 60_000
    /// How many bytes of a request's body are collected before an upstream is taken.
    var bodyBufferBytes = 64 << 10
    /// How many bytes of a body must come a second; 0 for any number.
    var bodyMinRate: Int64 = 240
    /// The most bytes of a request's body where the host says nothing; 0 for no bound.
    var bodyBytes: UInt64 = 10 << 20
    /// How many connections all workers take together.
    var connections = 50_000
    /// The first number of a descriptor that is none for a connection.
    var descriptorCeiling = Int32.max
    /// How many of them may come from one client; nil for no bound of its own.
    var connectionsPerClient: Int?
    /// The port that redirects to HTTPS name; nil for 443.
    var redirectPort: Int?

    init() {}

    /// What the file says, as far as there are descriptors for it.
    init(_ settings: GatewaySettings, _ budget: DescriptorBudget) {
        let limits = settings.limits
        headLimits = HeadLimits(
            maxHeadBytes: limits.headerBytes, maxFields: limits.headerFields, maxTargetBytes: limits.headerBytes / 2)
        trustedProxies = settings.trustedProxies
        clientAddress = settings.clientAddress
        handshakeMilliseconds = limits.handshakeTimeout.wholeMilliseconds
        headMilliseconds = limits.requestHeaderTimeout.wholeMilliseconds
        bodyProgressMilliseconds = limits.bodyProgressTimeout.wholeMilliseconds
        bodyBufferBytes = limits.bodyBufferBytes
        bodyMinRate = Int64(limits.bodyMinRate)
        idleMilliseconds = limits.idleTimeout.wholeMilliseconds
        bodyBytes = UInt64(limits.bodyBytes)
        connections = budget.connections
        connectionsPerClient = budget.perClient
        descriptorCeiling = Int32(clamping: budget.ceiling)
        redirectPort = settings.https.first.map(\.port).flatMap { $0 == 443 ? nil : $0 }
    }
}

extension HeadLimits {
    /// The most that the file allows for a head, which a worker's memory is made for.
    static let largest = 1 << 20
}
