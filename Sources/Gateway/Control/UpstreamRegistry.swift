import ConfigModel
import Materials

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
    private var trusts = UpstreamTrusts()
    /// The host names of upstreams, with the number of upstreams that have the name. Upstreams with the same name share
    /// one resolution.
    private(set) var names: [String: Int] = [:]
    private var free: [UpstreamNumber] = []
    private var next: UpstreamNumber = 0

    subscript(number: UpstreamNumber) -> Upstream? { upstreams[number]?.upstream }

    var all: [UpstreamNumber: Upstream] { upstreams.mapValues(\.upstream) }

    /// The files of CAs that can't be used now, with the reason for the log.
    var trustFailures: [String: String] { trusts.failures }

    /// Counts one more site that uses an upstream. The update gets the definition of a new upstream.
    ///
    /// - Returns: The upstream's number.
    mutating func use(
        _ upstream: TrustedUpstream, _ update: inout TableUpdate, _ files: inout WatchedFiles
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
        let trust = upstream.upstream.isTLS ? trusts.use(upstream.caFile, &files) : nil
        update.upstreams.append(UpstreamDefinition(number: number, upstream: upstream.upstream, trust: trust))
        return number
    }

    /// Follows changes of files of CAs.
    ///
    /// - Returns: The upstreams that trust other CAs from now on.
    mutating func renewTrust(in caFiles: [String], _ files: WatchedFiles) -> [UpstreamNumber: UpstreamTrust] {
        var renewed: [String: UpstreamTrust] = [:]
        for caFile in caFiles { renewed[caFile] = trusts.renew(caFile, files) }
        guard !renewed.isEmpty else { return [:] }
        return upstreams.compactMapValues { $0.caFile.flatMap { renewed[$0] } }
    }

    /// Counts one site less that uses an upstream. An upstream that no site uses is removed.
    mutating func release(
        _ number: UpstreamNumber, _ update: inout TableUpdate, _ files: inout WatchedFiles
    ) {
        guard let upstream = upstreams[number], let users = known[upstream]?.users else { return }
        if users > 1 {
            known[upstream]?.users = users - 1
            return
        }
        known[upstream] = nil
        upstreams[number] = nil
        if upstream.upstream.isTLS { trusts.release(upstream.caFile, &files) }
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
