import ConfigModel

/// An upstream, together with the settings of its TLS. The same upstream with other settings counts as another
/// upstream.
struct TrustedUpstream: Hashable {
    let upstream: Upstream
    /// Nil for an upstream without TLS.
    let tls: UpstreamTLS?
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
    private var trusts = UpstreamTrusts()
    /// The host names of upstreams, with the number of upstreams that have the name. Upstreams with the same name share
    /// one resolution.
    private(set) var names: [String: Int] = [:]
    private var free: [UpstreamNumber] = []
    private var next: UpstreamNumber = 0

    subscript(number: UpstreamNumber) -> Upstream? { upstreams[number]?.upstream }

    var all: [UpstreamNumber: Upstream] { upstreams.mapValues(\.upstream) }

    /// Why CAs or identities of upstreams can't be used now, for the log.
    var trustFailures: Set<String> { trusts.failures }

    /// Counts one more site that uses an upstream. The update gets the definition of a new upstream.
    ///
    /// - Returns: The upstream's number.
    mutating func use(
        _ upstream: TrustedUpstream, _ update: inout TableUpdate, _ materials: inout PeerMaterials
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
        let trust = upstream.tls.map { trusts.use($0, &materials) }
        update.upstreams.append(
            UpstreamDefinition(
                number: number, upstream: upstream.upstream, trust: trust, serverName: upstream.tls?.serverName))
        return number
    }

    /// Renews the trust of upstreams after CAs or identities have changed.
    ///
    /// - Returns: The upstreams whose trust differs from before.
    mutating func renewTrust(
        after change: PeerMaterials.Change, _ materials: PeerMaterials
    ) -> [UpstreamNumber: UpstreamTrust] {
        let renewed = trusts.renew(after: change, materials)
        guard !renewed.isEmpty else { return [:] }
        return upstreams.compactMapValues { $0.tls.flatMap { renewed[$0] } }
    }

    /// The definition of an upstream, with this trust in place of its present trust. Nil if no upstream has this
    /// number.
    func definition(_ number: UpstreamNumber, _ trust: UpstreamTrust) -> UpstreamDefinition? {
        upstreams[number].map {
            UpstreamDefinition(number: number, upstream: $0.upstream, trust: trust, serverName: $0.tls?.serverName)
        }
    }

    /// Subtracts one from the number of sites that use an upstream. An upstream that no site uses is removed.
    mutating func release(
        _ number: UpstreamNumber, _ update: inout TableUpdate, _ materials: inout PeerMaterials
    ) {
        guard let upstream = upstreams[number], let users = known[upstream]?.users else { return }
        if users > 1 {
            known[upstream]?.users = users - 1
            return
        }
        known[upstream] = nil
        upstreams[number] = nil
        if let settings = upstream.tls { trusts.release(settings, &materials) }
        if let name = upstream.upstream.nameToResolve, let others = names[name].map({ $0 - 1 }) {
            names[name] = others > 0 ? others : nil
        }
        free.append(number)
        update.upstreams.removeAll { $0.number == number }
        update.removedUpstreams.append(number)
    }
}

extension Upstream {
    /// The IP address of the upstream. Nil if the upstream has a host name or a Unix socket's path.
    var addressLiteral: IPAddress? {
        switch transport {
        case .unix: nil
        case .http(let host, _), .https(let host, _), .h2c(let host, _):
            IPAddress(host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host)
        }
    }

    /// The host name of the upstream. Nil if the upstream has an IP address or a Unix socket's path.
    var nameToResolve: String? {
        guard addressLiteral == nil else { return nil }
        return switch transport {
        case .unix: nil
        case .http(let host, _), .https(let host, _), .h2c(let host, _): host
        }
    }
}
