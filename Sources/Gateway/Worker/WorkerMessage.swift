import ConfigModel
import HTTP1
import PKI

/// A message from the control side to a worker.
enum WorkerMessage: Sendable {
    case update(TableUpdate)
    /// Starts listening on a socket, which the worker owns from now on.
    case listen(Listener)
    /// Changes the role of a listening address; its connections are not affected.
    case setRole(ListenerRole, address: String)
    /// Stops listening on these addresses, after the waiting connections are accepted.
    case stopListening([String])
    /// Sets the addresses of an upstream, whose name was resolved again.
    case place(UpstreamPlace)
    /// Sets whether an upstream is healthy. Unhealthy ones get no requests while others are available.
    case health(UpstreamNumber, isHealthy: Bool)
    /// Runs a health check and reports its result. Only the admin worker gets this message.
    case checkHealth(HealthProbe)
    /// Sets the source of certificates for names for which the state has none.
    case fallback(FallbackSource)
    /// A certificate that handshakes wait for has arrived, or will not arrive in time.
    case certificateSettled(name: String)
    /// Sets new keys for session tickets.
    case tickets(TicketKeys)
    /// Sets the destination and the format of the access log.
    case accessLog(AccessLogSink?, AccessLog.Format)
    /// A second has passed: the allowance of reports starts anew, and traffic is reported.
    case tick
    /// Stops accepting connections, and ends the worker when the open ones are done.
    ///
    /// When the listening sockets are `handedOver`, another process accepts the waiting connections.
    case drain(handedOver: Bool)
    /// Sends a close frame to the clients of all WebSockets.
    case closeTunnels
    /// Ends the worker at once.
    case stop
}

/// A change of the state in the form that workers need. All workers share one value.
struct TableUpdate: Sendable {
    /// The revision that the tables have after this change.
    var revision = 0
    var generation = 0
    var settings: WorkerSettings?
    var sites: [Site] = []
    var removedSites: [String] = []
    var certificates: [CertificateEntry] = []
    var removedCertificates: [String] = []
    var upstreams: [UpstreamDefinition] = []
    /// The known addresses of the upstreams in `upstreams`.
    var places: [UpstreamPlace] = []
    var removedUpstreams: [UpstreamNumber] = []
    var challenges: [([UInt8], [UInt8])] = []
    var challengeCertificates: [ChallengeEntry] = []
    var removedChallenges: [[UInt8]] = []
}

/// The answer to a tls-alpn-01 challenge (RFC 8737).
struct ChallengeEntry: Sendable {
    let token: [UInt8]
    /// The server name that the CA sends, in lower case.
    let serverName: String
    let credential: TLSCredential
}

/// The addresses of an upstream, or the reason why there are none.
struct UpstreamPlace: Sendable {
    let number: UpstreamNumber
    /// The addresses; empty if the name is not resolved yet or can't be.
    var addresses: [SocketAddress] = []
    /// The reason why the name can't be resolved; nil if it can.
    var failure: String?
}

/// A message from a worker to the control side.
enum WorkerReport: Sendable {
    /// A change of the state is in force in this worker.
    case applied(worker: Int, revision: Int)
    /// No upstream answered a request, for this reason.
    case upstreamFailed(host: String, upstream: String, reason: String, requestID: String)
    /// No connection could be made to an upstream with a host name, whose addresses may have changed.
    case upstreamUnreachable(UpstreamNumber)
    /// The result of a health check.
    case health(UpstreamNumber, isHealthy: Bool, reason: String)
    /// An upstream failed several times in a row and gets no requests for this many seconds.
    case upstreamEjected(String, seconds: Int)
    /// A certificate of the state can't be used.
    case certificateFailed(name: String, reason: String)
    /// A handshake waits for a certificate that does not exist yet.
    case certificateWanted(name: String)
    /// The traffic since the worker's last report, by host and by upstream.
    case traffic(TrafficReport)
    /// Clients meet a shortage; `client` is the address of the client concerned, or empty.
    case short(Shortage, client: String)
    /// No connection can be accepted, because of this `errno`.
    case acceptFailed(Int32)
    /// The worker has drained: all its connections have ended.
    case drained(worker: Int)
}

/// A resource that clients have used up.
enum Shortage: Sendable {
    case descriptors
    /// All client connections that the limit allows are taken.
    case connections
    /// One client has as many connections as its limit allows.
    case connectionsOfClient
}

/// The values that a worker is created with.
struct WorkerSetup {
    let mailbox: Mailbox<WorkerMessage>
    let reports: Mailbox<WorkerReport>
    let metrics: WorkerMetrics
    let connections: ConnectionCounts
    let settings: WorkerSettings
    let tickets: TicketKeys
    let fallback: FallbackSource
    /// The gateway's ID in the state; nil for a worker that answers no probes of challenges.
    var identity: String?
    var adminHandler: AdminHandler?
}

/// The gateway's settings in the form that workers need.
struct WorkerSettings: Sendable {
    var headLimits = HeadLimits()
    var trustedProxies: [NetworkBlock] = []
    /// The field in which trusted proxies name the client.
    var clientAddress = ClientAddressField.xForwardedFor
    var handshakeMilliseconds: Int64 = 10_000
    var headMilliseconds: Int64 = 10_000
    var bodyProgressMilliseconds: Int64 = 30_000
    var idleMilliseconds: Int64 = 60_000
    /// How many bytes of a request body are collected before an upstream is chosen.
    var bodyBufferBytes = 64 << 10
    /// The least rate of bodies, in bytes a second; 0 for no limit.
    var bodyMinRate: Int64 = 240
    /// The most bytes of a request body if the host sets no limit; 0 for no limit.
    var bodyBytes: UInt64 = 10 << 20
    /// The most client connections of all workers together.
    var connections = 50_000
    /// Connections to clients and upstreams get only descriptors below this number.
    var descriptorCeiling = Int32.max
    /// The most connections of one client; nil when only `connections` limits them.
    var connectionsPerClient: Int?
    /// The port that redirects to HTTPS name; nil for 443.
    var redirectPort: Int?

    init() {}

    /// Creates the settings from those of the state and the budget of descriptors.
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
    /// The largest limit that aegis.yaml may set for a head. A worker's memory is made for heads of this size.
    static let largest = 1 << 20
}
