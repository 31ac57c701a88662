import ConfigModel
import HTTP1
import PKI

enum WorkerMessage: Sendable {
    case update(TableUpdate)
    /// Starts accepting connections at a socket. From now on the worker owns the socket.
    case listen(Listener)
    /// Changes the role of a listening address for new connections.
    case setRole(ListenerRole, address: String)
    /// Stops listening at these addresses. Connections that wait there are accepted first.
    case stopListening([String])
    /// Sets the addresses of an upstream whose name was resolved again.
    case place(UpstreamPlace)
    /// Sets whether an upstream is healthy. An unhealthy upstream gets no requests while others are available.
    case health(UpstreamNumber, isHealthy: Bool)
    /// Runs a health check and reports its result. Only the admin worker gets this message.
    case checkHealth(HealthProbe)
    /// Sets the source of fallback certificates, which are issued for names that have no certificate in the state.
    case fallback(FallbackSource)
    /// Handshakes need not wait for this certificate any longer: it is in force, or could not be obtained in time.
    case certificateSettled(name: String)
    /// Sets the keys that encrypt TLS session tickets.
    case tickets(TicketKeys)
    case accessLog(AccessLogSink?, AccessLog.Format)
    /// A second has passed. The worker may send reports again, and it sends the traffic that it has counted.
    case tick
    /// Stops accepting connections, and ends the worker when its last connection has ended.
    ///
    /// If the listening sockets are `handedOver`, another process accepts the waiting connections.
    case drain(handedOver: Bool)
    /// Asks the clients of all WebSockets to close.
    case closeTunnels
    /// Ends the worker at once. Open connections are cut off.
    case stop
}

/// A change of the state in the form that workers need. All workers get the same value.
struct TableUpdate: Sendable {
    /// The state's revision after this change. The worker reports it when the change is in force.
    var revision = 0
    var generation = 0
    var settings: WorkerSettings?
    var sites: [Site] = []
    var removedSites: [String] = []
    var certificates: [CertificateEntry] = []
    var removedCertificates: [String] = []
    var upstreams: [UpstreamDefinition] = []
    /// The addresses of the new upstreams, as far as they are known.
    var places: [UpstreamPlace] = []
    var removedUpstreams: [UpstreamNumber] = []
    var challenges: [([UInt8], [UInt8])] = []
    var challengeCertificates: [ChallengeEntry] = []
    var removedChallenges: [[UInt8]] = []
}

/// The certificate that answers a tls-alpn-01 challenge (RFC 8737).
struct ChallengeEntry: Sendable {
    let token: [UInt8]
    /// The server name in the CA's handshake, in lower case.
    let serverName: String
    let credential: TLSCredential
}

struct UpstreamPlace: Sendable {
    let number: UpstreamNumber
    /// Empty if the name is not resolved yet, or can't be resolved.
    var addresses: [SocketAddress] = []
    /// The reason why the name can't be resolved. Nil if it can.
    var failure: String?
}

enum WorkerReport: Sendable {
    /// A change of the state is now in force in this worker.
    case applied(worker: Int, revision: Int)
    /// No upstream could answer a request.
    case upstreamFailed(host: String, upstream: String, reason: String, requestID: String)
    /// No connection to this upstream could be made. Its name should be resolved again, since its addresses may have
    /// changed.
    case upstreamUnreachable(UpstreamNumber)
    case health(UpstreamNumber, isHealthy: Bool, reason: String)
    /// An upstream has failed several times in a row. It gets no requests for this many seconds.
    case upstreamEjected(String, seconds: Int)
    /// A certificate of the state can't be used.
    case certificateFailed(name: String, reason: String)
    /// A handshake waits for a certificate that must first be ordered.
    case certificateWanted(name: String)
    /// The traffic since the worker's previous report, by host and by upstream.
    case traffic(TrafficReport)
    /// Clients meet a shortage. `client` is the address of the client that has too many connections, or empty.
    case short(Shortage, client: String)
    /// No connection can be accepted. The value is the `errno`.
    case acceptFailed(Int32)
    /// The worker was told to drain, and its last connection has ended.
    case drained(worker: Int)
}

/// A resource that connections have used up.
enum Shortage: Sendable {
    case descriptors
    /// There are as many client connections as the limit allows.
    case connections
    /// One client has as many connections as the limit for one client allows.
    case connectionsOfClient
}

/// The values from which a worker is created. It gets later changes by messages.
struct WorkerSetup {
    let mailbox: Mailbox<WorkerMessage>
    let reports: Mailbox<WorkerReport>
    let metrics: WorkerMetrics
    let connections: ConnectionCounts
    let settings: WorkerSettings
    let tickets: TicketKeys
    let fallback: FallbackSource
    /// The gateway's ID in the state. Nil for a worker that answers no challenge checks (`GatewayProbe`).
    var identity: String?
    var adminHandler: AdminHandler?
}

/// The part of the gateway's settings that workers need.
struct WorkerSettings: Sendable {
    var headLimits = HeadLimits()
    var trustedProxies: [NetworkBlock] = []
    /// The field in which trusted proxies name the client.
    var clientAddress = ClientAddressField.xForwardedFor
    var handshakeMilliseconds: Int64 = 10_000
    var headMilliseconds: Int64 = 10_000
    var bodyProgressMilliseconds: Int64 = 30_000
    var idleMilliseconds: Int64 = 60_000
    /// How many bytes of a request's body are collected before an upstream is chosen.
    var bodyBufferBytes = 64 << 10
    /// The lowest rate at which a body may arrive or be read, in bytes per second. 0 stands for no limit.
    var bodyMinRate: Int64 = 240
    /// The largest body of a request, in bytes, if the host sets no limit. 0 stands for no limit.
    var bodyBytes: UInt64 = 10 << 20
    /// The largest number of client connections of all workers together.
    var connections = 50_000
    /// If the descriptor of a new connection is not below this number, another connection is closed to free a
    /// descriptor.
    var descriptorCeiling = Int32.max
    /// The largest number of connections from one client. Nil means that only `connections` limits them.
    var connectionsPerClient: Int?
    /// The port in the URLs of redirects to HTTPS. Nil stands for 443.
    var redirectPort: Int?

    init() {}

    /// The limits of connections come from the budget, which may be lower than the settings.
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
    /// The largest limit that aegis.yaml may set for a head, in bytes. The worker's memory is made for heads of this
    /// size.
    static let largest = 1 << 20
}
