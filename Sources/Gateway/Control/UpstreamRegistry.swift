import ConfigModel
import PKI

/// An upstream, together with the CAs that are trusted for it.
struct TrustedUpstream: Hashable {
    let upstream: Upstream
    /// The file of the CAs; nil for the system's CAs.
    let caFile: String?
}

/// The upstreams of all sites, each once, by number. A number is reused only when no site uses its upstream any more.
struct UpstreamRegistry {
    private struct Known {
        let number: UpstreamNumber
        var users: Int
    }

    private var known: [TrustedUpstream: Known] = [:]
    private var upstreams: [UpstreamNumber: TrustedUpstream] = [:]
    /// The trusted CAs of upstreams that have a file of CAs.
    private var trust: [UpstreamNumber: UpstreamTrust] = [:]
    /// The names to resolve, with the number of upstreams that have each name.
    private(set) var names: [String: Int] = [:]
    private var free: [UpstreamNumber] = []
    private var next: UpstreamNumber = 0

    /// The upstream with this number.
    subscript(number: UpstreamNumber) -> Upstream? { upstreams[number]?.upstream }

    var all: [UpstreamNumber: Upstream] { upstreams.mapValues(\.upstream) }

    /// Adds one user to an upstream and returns its number. The definition of a new upstream is added to the update.
    ///
    /// `trust` reads the file of CAs for a new upstream.
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
    /// any more, its previous CAs stay trusted.
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

    /// Removes one user from an upstream, and the upstream itself with its last user.
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
    /// The IP address, if the upstream has one instead of a name.
    var addressLiteral: IPAddress? {
        switch transport {
        case .unix: nil
        case .http(let host, _), .https(let host, _):
            IPAddress(host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host)
        }
    }

    /// The host name to resolve; nil if there is none.
    var nameToResolve: String? {
        guard addressLiteral == nil else { return nil }
        return switch transport {
        case .unix: nil
        case .http(let host, _), .https(let host, _): host
        }
    }
}
