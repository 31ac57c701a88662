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
    /// Whom those with a file of CAs trust.
    private var trust: [UpstreamNumber: UpstreamTrust] = [:]
    /// The names to look up, with how many upstreams have each.
    private(set) var names: [String: Int] = [:]
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
        if let name = upstream.upstream.nameToResolve { names[name, default: 0] += 1 }
        update.removedUpstreams.removeAll { $0 == number }
        let trust = trust(upstream.caFile)
        if upstream.caFile != nil { self.trust[number] = trust }
        update.upstreams.append(UpstreamDefinition(number: number, upstream: upstream.upstream, trust: trust))
        return number
    }

    /// Reads the files of CAs again. Upstreams that trust others now are put anew; where a file can't be used any more, the
    /// CAs that it had stay trusted.
    ///
    /// - Returns: Why files can't be used, by path.
    mutating func readTrustAgain(_ update: inout TableUpdate, _ read: (String) -> UpstreamTrust) -> [String: String] {
        var failures: [String: String] = [:]
        for (number, former) in trust {
            guard let upstream = upstreams[number], let path = upstream.caFile else { continue }
            let present = read(path)
            if case .unusable(let reason) = present { failures[path] = reason }
            guard former.mayBecome(present) else { continue }
            trust[number] = present
            update.upstreams.removeAll { $0.number == number }
            update.upstreams.append(UpstreamDefinition(number: number, upstream: upstream.upstream, trust: present))
        }
        return failures
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
        trust[number] = nil
        if let name = upstream.upstream.nameToResolve, let others = names[name].map({ $0 - 1 }) {
            names[name] = others > 0 ? others : nil
        }
        free.append(number)
        update.upstreams.removeAll { $0.number == number }
        update.removedUpstreams.append(number)
    }
}

extension Upstream {
    /// The address that stands in place of a name.
    var addressLiteral: IPAddress? {
        switch transport {
        case .unix: nil
        case .http(let host, _), .https(let host, _):
            IPAddress(host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host)
        }
    }

    /// The name to look up; nil when there is none.
    var nameToResolve: String? {
        guard addressLiteral == nil else { return nil }
        return switch transport {
        case .unix: nil
        case .http(let host, _), .https(let host, _): host
        }
    }
}
