import ConfigModel
import PKI

/// An upstream, together with the CAs that may issue its certificate. The same upstream with other CAs counts as
/// another upstream.
struct TrustedUpstream: Hashable {
    let upstream: Upstream
    /// The path of a file with CA certificates. Nil stands for the system's CAs.
    let caFile: String?
}

/// The upstreams of all sites, each with a number. Sites that name the same upstream share a number. A number is reused
/// when no site uses its upstream any more.
struct UpstreamRegistry {
    private struct Known {
        let number: UpstreamNumber
        var users: Int
    }

    private var known: [TrustedUpstream: Known] = [:]
    private var upstreams: [UpstreamNumber: TrustedUpstream] = [:]
    /// The CAs of upstreams that have a file of CAs.
    private var trust: [UpstreamNumber: UpstreamTrust] = [:]
    /// The host names of upstreams, with the number of upstreams that have the name. Upstreams with the same name share
    /// one resolution.
    private(set) var names: [String: Int] = [:]
    private var free: [UpstreamNumber] = []
    private var next: UpstreamNumber = 0

    subscript(number: UpstreamNumber) -> Upstream? { upstreams[number]?.upstream }

    var all: [UpstreamNumber: Upstream] { upstreams.mapValues(\.upstream) }

    /// Counts one more site that uses an upstream. For a new upstream, `trust` reads the file of CAs, and the update
    /// gets the upstream's definition.
    ///
    /// - Returns: The upstream's number.
    mutating func use(
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

    /// Reads the files of CAs again. An upstream whose CAs have changed gets a new definition. If a file can't be used
    /// now, its previous CAs stay trusted.
    ///
    /// - Returns: The reasons why files can't be used, by path.
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

    /// Counts one site less that uses an upstream. An upstream that no site uses is removed.
    mutating func release(_ number: UpstreamNumber, _ update: inout TableUpdate) {
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
    /// Nil if the upstream has a host name or a Unix socket's path.
    var addressLiteral: IPAddress? {
        switch transport {
        case .unix: nil
        case .http(let host, _), .https(let host, _):
            IPAddress(host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host)
        }
    }

    /// Nil if the upstream has an IP address or a Unix socket's path.
    var nameToResolve: String? {
        guard addressLiteral == nil else { return nil }
        return switch transport {
        case .unix: nil
        case .http(let host, _), .https(let host, _): host
        }
    }
}
