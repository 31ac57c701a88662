import ConfigModel
import PKI

enum WorkerMessage: Sendable {
    case update(TableUpdate)
    /// Starts accepting connections at a socket. From now on the worker owns the socket.
    case listen(Listener)
    /// Changes the role of a listening address. Open connections keep their role.
    case setRole(ListenerRole, address: String)
    /// Stops listening at these addresses. Connections that wait there are accepted first.
    case stopListening([String])
    /// Sets the addresses of an upstream whose name was resolved again.
    case place(ResolvedUpstream)
    /// Sets the largest access that clients of the admin API may have. Only the admin worker gets this message.
    case api(AdminListener.API)
    /// The answer to a request that was handed over to the admin API. Only the admin worker gets this message.
    case answer(SlotID, AdminResponse)
    /// The next part of an answer of the admin API that does not end with its body.
    case part(SlotID, AdminStreamPart)
    /// Sets which clients may use the node listener. Only the admin worker gets this message.
    case node(NodeAccess?)
    /// Sets the new trust, after CAs, revocation lists or identities have changed.
    case trust(RenewedTrust)
    /// Sets whether an upstream is healthy. An unhealthy upstream gets no requests while others are available.
    case health(UpstreamNumber, isHealthy: Bool)
    /// Runs a health check and reports its result. Only the admin worker gets this message.
    case checkHealth(HealthProbe)
    /// Sets the source of fallback certificates, which are issued for names that have no certificate in the state.
    case fallback(FallbackSource)
    /// The certificate is in force, or could not be obtained in time. Waiting handshakes continue.
    case certificateSettled(name: String)
    /// Sets the keys that encrypt TLS session tickets.
    case tickets(TicketKeys)
    case accessLog(AccessLogHold?, AccessLog.Format)
    /// Sent every second. The worker reports its traffic, and may report events again after reaching `reportsASecond`.
    case tick
    /// Stops accepting connections, and ends the worker when its last connection has ended.
    ///
    /// If the listening sockets are `handedOver`, another process accepts the waiting connections.
    case drain(handedOver: Bool)
    /// Sends a close frame to the clients of all WebSockets.
    case closeTunnels
    /// Ends the worker at once. Open connections are cut off.
    case stop
}

/// A change of the state, in the form that workers need. All workers get the same value.
struct TableUpdate: Sendable {
    /// The state's revision after this change. The worker reports the revision when the change is in force.
    var revision = 0
    var generation = 0
    var settings: WorkerSettings?
    var sites: [Site] = []
    var removedSites: [String] = []
    var certificates: [CertificateEntry] = []
    var removedCertificates: [String] = []
    var upstreams: [UpstreamDefinition] = []
    /// The known addresses of the upstreams in `upstreams`.
    var places: [ResolvedUpstream] = []
    var removedUpstreams: [UpstreamNumber] = []
    var clientTrusts: [ClientTrustDefinition] = []
    var challenges: [([UInt8], [UInt8])] = []
    var challengeCertificates: [ChallengeEntry] = []
    var removedChallenges: [[UInt8]] = []

    /// For each number that both define, replaces the definitions of this update by the one in `renewed`, and removes
    /// that one from `renewed`. An update may define a number several times, since free numbers are reused. The last
    /// definition counts.
    mutating func replace(_ renewed: inout [ClientTrustDefinition]) {
        let defined = Set(clientTrusts.map(\.number))
        let taken = renewed.filter { defined.contains($0.number) }
        let numbers = Set(taken.map(\.number))
        clientTrusts = clientTrusts.filter { !numbers.contains($0.number) } + taken
        renewed.removeAll { numbers.contains($0.number) }
    }
}

/// The certificate that answers a tls-alpn-01 challenge (RFC 8737).
struct ChallengeEntry: Sendable {
    let token: [UInt8]
    /// The server name that the CA sends in its handshake, in lower case.
    let serverName: String
    let credential: TLSCredential
}

struct ResolvedUpstream: Sendable {
    let number: UpstreamNumber
    /// Empty if the name is not resolved yet or can't be resolved.
    var addresses: [SocketAddress] = []
    /// The reason why the name can't be resolved; nil if there is no failure.
    var failure: String?
}

enum WorkerReport: Sendable {
    /// A change of the state is now in force in this worker.
    case applied(worker: Int, revision: Int)
    /// No upstream could answer a request.
    case upstreamFailed(host: String, upstream: String, reason: String, requestID: String)
    /// An address of this upstream could not be reached. The control side resolves the upstream's name again, since its
    /// addresses may have changed.
    case upstreamUnreachable(UpstreamNumber)
    case health(UpstreamNumber, isHealthy: Bool, reason: String)
    /// An upstream has failed several times in a row, and gets no requests for this many seconds.
    case upstreamEjected(String, seconds: Int)
    /// The name of the node listener, where reports and metrics otherwise name a host.
    static let nodeListener = "(node)"

    /// A peer's certificate was refused. The peer is a client of `host` or of the node listener, or an upstream of
    /// `host`. `peer` is its address.
    case peerRefused(PeerRole, host: String, peer: String, PeerRefusal)
    /// A certificate of the state can't be used.
    case certificateFailed(name: String, reason: String)
    /// A handshake waits for a certificate, which must be ordered first.
    case certificateWanted(name: String)
    /// The traffic since the worker's previous report, by host and by upstream.
    case traffic(TrafficReport)
    /// Connections have reached a limit. `client` is the address of the client that has too many connections, or has sent
    /// too much; empty for other limits.
    case short(Shortage, client: String)
    /// Accepting connections fails with this `errno`.
    case acceptFailed(Int32)
    /// The worker has drained: its last connection has ended.
    case drained(worker: Int)
}

/// A limit that connections have reached.
enum Shortage: Sendable {
    case descriptors
    /// There are as many client connections as the limit allows.
    case connections
    /// One client has as many connections as the limit for one client allows.
    case connectionsOfClient
    /// A client has reset more streams of HTTP/2 than the limit allows, or made the gateway reset them.
    case resets
    /// A client has sent more frames of HTTP/2 without data than the limit allows.
    case controlFrames
}

/// The values that a new worker gets. Messages bring later changes.
struct WorkerSetup {
    let mailbox: Mailbox<WorkerMessage>
    let reports: Mailbox<WorkerReport>
    let metrics: WorkerMetrics
    let connections: ConnectionCounts
    let settings: WorkerSettings
    let tickets: TicketKeys
    let fallback: FallbackSource
    /// The gateway's ID in the state. Nil if the worker does not answer checks by aegis-apply (`GatewayProbe`).
    var identity: String?
    var adminHandler: AdminHandler?
}
