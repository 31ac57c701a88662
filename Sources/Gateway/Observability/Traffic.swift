import PKI
import Synchronization

struct HostTraffic: Total {
    /// The numbers of responses with status 1xx, 2xx, 3xx, 4xx and 5xx, in this order.
    var classes = InlineArray<5, UInt64>(repeating: 0)

    static func += (total: inout HostTraffic, more: HostTraffic) {
        for index in 0..<5 { total.classes[index] &+= more.classes[index] }
    }

    var weight: UInt64 { (0..<5).reduce(0) { $0 &+ classes[$1] } }
}

struct UpstreamTraffic: Total {
    var responses: UInt64 = 0
    /// The sum of the times that the responses took. A response's time runs from sending the request to receiving the
    /// response's head.
    var nanoseconds: UInt64 = 0

    static func += (total: inout UpstreamTraffic, more: UpstreamTraffic) {
        total.responses &+= more.responses
        total.nanoseconds &+= more.nanoseconds
    }

    var weight: UInt64 { responses }
}

/// The handshakes of a host that asks clients for certificates.
struct ClientCertificateTraffic: Total {
    /// Handshakes in which the client showed a certificate that was accepted.
    private(set) var accepted: UInt64 = 0
    /// Handshakes in which the client showed no certificate, which the host allows.
    private(set) var unshown: UInt64 = 0
    private(set) var refused: [PeerRefusal.Reason: UInt64] = [:]

    mutating func count(isShown: Bool, refusal: PeerRefusal.Reason?) {
        if let refusal {
            refused[refusal, default: 0] &+= 1
        } else if isShown {
            accepted &+= 1
        } else {
            unshown &+= 1
        }
    }

    static func += (total: inout ClientCertificateTraffic, more: ClientCertificateTraffic) {
        total.accepted &+= more.accepted
        total.unshown &+= more.unshown
        total.refused.merge(more.refused) { $0 &+ $1 }
    }

    var weight: UInt64 { refused.values.reduce(accepted &+ unshown) { $0 &+ $1 } }
}

/// The refused certificates of a host's upstreams, by the reason.
struct UpstreamRefusals: Total {
    private(set) var byReason: [PeerRefusal.Reason: UInt64] = [:]

    mutating func count(_ reason: PeerRefusal.Reason) { byReason[reason, default: 0] &+= 1 }

    static func += (total: inout UpstreamRefusals, more: UpstreamRefusals) {
        total.byReason.merge(more.byReason) { $0 &+ $1 }
    }

    var weight: UInt64 { byReason.values.reduce(0) { $0 &+ $1 } }
}

/// The traffic that a worker has counted since its previous report.
struct TrafficReport: Sendable {
    var hosts: [(site: Site, traffic: HostTraffic)] = []
    var upstreams: [(upstream: UpstreamDefinition, traffic: UpstreamTraffic)] = []

    var clientCertificates: [String: ClientCertificateTraffic] = [:]
    var refusedUpstreams: [String: UpstreamRefusals] = [:]

    var isEmpty: Bool {
        hosts.isEmpty && upstreams.isEmpty && clientCertificates.isEmpty && refusedUpstreams.isEmpty
    }
}

/// The traffic of all workers, by host and by upstream. The control side adds the workers' reports, and the admin
/// listener's thread reads the totals.
final class TrafficTotals: Sendable {
    struct Values: Sendable {
        var hosts = BusiestTotals<HostTraffic>()
        var upstreams = BusiestTotals<UpstreamTraffic>()
        var clientCertificates = BusiestTotals<ClientCertificateTraffic>()
        var refusedUpstreams = BusiestTotals<UpstreamRefusals>()
    }

    private let values = Mutex(Values())

    func add(_ report: TrafficReport) {
        values.withLock { values in
            for (site, traffic) in report.hosts { values.hosts.add(site.name, traffic) }
            for (upstream, traffic) in report.upstreams { values.upstreams.add(upstream.upstream.text, traffic) }
            for (host, traffic) in report.clientCertificates { values.clientCertificates.add(host, traffic) }
            for (host, refusals) in report.refusedUpstreams { values.refusedUpstreams.add(host, refusals) }
        }
    }

    /// Updates the choice of names that are reported by themselves, and returns the totals.
    var current: Values {
        values.withLock { values in
            values.hosts.rank()
            values.upstreams.rank()
            values.clientCertificates.rank()
            values.refusedUpstreams.rank()
            return values
        }
    }
}
