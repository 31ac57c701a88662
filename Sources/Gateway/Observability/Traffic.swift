import Synchronization

/// What a host has answered, by the first digit of the status.
struct HostTraffic: Total {
    /// From 1xx to 5xx.
    var classes = InlineArray<5, UInt64>(repeating: 0)

    static func += (total: inout HostTraffic, more: HostTraffic) {
        for index in 0..<5 { total.classes[index] &+= more.classes[index] }
    }

    var weight: UInt64 { (0..<5).reduce(0) { $0 &+ classes[$1] } }
}

/// How an upstream has answered.
struct UpstreamTraffic: Total {
    var responses: UInt64 = 0
    /// From sending requests to the heads of their responses, all together.
    var nanoseconds: UInt64 = 0

    static func += (total: inout UpstreamTraffic, more: UpstreamTraffic) {
        total.responses &+= more.responses
        total.nanoseconds &+= more.nanoseconds
    }

    var weight: UInt64 { responses }
}

/// What a worker has counted since it last told.
struct TrafficReport: Sendable {
    var hosts: [(site: Site, traffic: HostTraffic)] = []
    var upstreams: [(upstream: UpstreamDefinition, traffic: UpstreamTraffic)] = []

    var isEmpty: Bool { hosts.isEmpty && upstreams.isEmpty }
}

/// The traffic of all workers by host and by upstream. The control side adds, the admin listener reads.
final class TrafficTotals: Sendable {
    struct Values: Sendable {
        var hosts = BusiestTotals<HostTraffic>()
        var upstreams = BusiestTotals<UpstreamTraffic>()
    }

    private let values = Mutex(Values())

    func add(_ report: TrafficReport) {
        values.withLock { values in
            for (site, traffic) in report.hosts { values.hosts.add(site.name, traffic) }
            for (upstream, traffic) in report.upstreams { values.upstreams.add(upstream.upstream.text, traffic) }
        }
    }

    /// What is to be told now.
    var current: Values {
        values.withLock { values in
            values.hosts.rank()
            values.upstreams.rank()
            return values
        }
    }
}
