import ConfigModel
import HTTP1
import HTTP2

/// The part of the gateway's settings that workers need.
///
/// The initial values are those of the admin listener's worker, which gets no settings. All other workers get the
/// values of `GatewaySettings`, whose defaults are in ConfigModel.
struct WorkerSettings: Sendable {
    var http2 = HTTP2Limits()
    /// Whether clients may speak HTTP/2 with hosts that do not set `protocols` themselves.
    var offersHTTP2 = true
    var headLimits = HeadLimits()
    var trustedProxies: [NetworkBlock] = []
    /// The field in which trusted proxies name the client.
    var clientAddress = ClientAddressField.xForwardedFor
    var handshakeMilliseconds: Int64 = 10_000
    var headMilliseconds: Int64 = 10_000
    var bodyProgressMilliseconds: Int64 = 30_000
    var clientIdleMilliseconds: Int64 = 60_000
    /// How many bytes of a request's body are collected before an upstream is chosen.
    var bodyBufferBytes = 64 << 10
    /// The minimum rate at which a peer must send or read a body, in bytes per second. 0 stands for no limit.
    var bodyMinRate: Int64 = 240
    /// The largest body of a request, in bytes, if the host sets no limit. 0 stands for no limit.
    var bodyBytes: UInt64 = 10 << 20
    /// The largest number of client connections of all workers together.
    var connections = 50_000
    /// If a new connection's descriptor is not below this number, another connection is closed to free a descriptor.
    var descriptorCeiling = Int32.max
    /// The largest number of connections from one client. Nil means that only `connections` limits them.
    var connectionsPerClient: Int?
    /// The port in redirects to HTTPS. Nil stands for the default port 443.
    var redirectPort: Int?

    init() {}

    /// The limits of connections come from `budget`, since the settings may allow more than there are descriptors for.
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
        clientIdleMilliseconds = limits.idleTimeout.wholeMilliseconds
        bodyBytes = UInt64(limits.bodyBytes)
        offersHTTP2 = settings.protocols.contains(.http2)
        http2 = HTTP2Limits(limits)
        connections = budget.connections
        connectionsPerClient = budget.perClient
        descriptorCeiling = Int32(clamping: budget.ceiling)
        redirectPort = settings.https.first.map(\.port).flatMap { $0 == 443 ? nil : $0 }
    }
}

extension HTTP2Limits {
    /// The limits for clients, from `gateway.limits`. The bursts are multiples of the rates.
    init(_ limits: GatewayLimits) {
        self.init()
        (headBytes, fields) = (limits.headerBytes, limits.headerFields)
        streams = limits.http2.streams
        (streamWindow, connectionWindow) = (limits.http2.window, limits.http2.connectionWindow)
        resets = (limits.http2.resetsPerSecond, 4 * limits.http2.resetsPerSecond)
        controlFrames = (limits.http2.controlFramesPerSecond, 5 * limits.http2.controlFramesPerSecond)
    }
}

extension HeadLimits {
    /// The largest limit that aegis.yaml may set for a head, in bytes. The worker's memory has room for heads of this
    /// size.
    static let largest = 1 << 20
}
