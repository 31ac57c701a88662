import ConfigModel
import PKI

/// An upstream, and whose certificates are believed there.
struct TrustedUpstream: Hashable {
    let upstream: Upstream
    /// The file of the CAs; nil for the system's.
    let caFile: String?
}

/// The upstreams of all sites, each once, by number. A number is given again only after nobody uses it.
struct UpstreamRegistry {
    private struct Known {
        let number: UpstreamNumber
        var users: Int
    }

    private var known: [TrustedUpstream: Known] = [:]
    private var upstreams: [UpstreamNumber: TrustedUpstream] = [:]
    private var free: [UpstreamNumber] = []
    private var next: UpstreamNumber = 0

    /// The upstream of a number.
    subscript(number: UpstreamNumber) -> Upstream? { upstreams[number]?.upstream }

    /// All of them.
    var all: [UpstreamNumber: Upstream] { upstreams.mapValues(\.upstream) }

    /// The number of an upstream, which has one more user now. A new one's definition goes into the update.
    ///
    /// `trust` reads the CAs' file of one that is new.
    mutating func take(
        _ upstream: TrustedUpstream, _ update: inout TableUpdate, trust: (String?) -> UpstreamTrust
    ) -> UpstreamNumber {
        if let number = known[upstream]?.number {
            known[upstream]?.users += 1
            return number
        }
        let number: UpstreamNumber
        if let freed = free.popLast() {
            number = freed
        } else {
            number = next
            next += 1
        }
        known[upstream] = Known(number: number, users: 1)
        upstreams[number] = upstream
        update.removedUpstreams.removeAll { $0 == number }
        update.upstreams.append(
            UpstreamDefinition(number: number, upstream: upstream.upstream, trust: trust(upstream.caFile)))
        return number
    }

    /// A user is gone. The last one's upstream goes with it.
    mutating func give(back number: UpstreamNumber, _ update: inout TableUpdate) {
        guard let upstream = upstreams[number], let users = known[upstream]?.users else { return }
        if users > 1 {
            known[upstream]?.users = users - 1
            return
        }
        known[upstream] = nil
        upstreams[number] = nil
        free.append(number)
        update.upstreams.removeAll { $0.number == number }
        update.removedUpstreams.append(number)
    }
}
