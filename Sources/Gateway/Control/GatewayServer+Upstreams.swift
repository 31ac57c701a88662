import ConfigModel

struct HealthState {
    var isHealthy = true
    /// How many checks in a row have disagreed with `isHealthy`.
    var streak = 0
    var nextCheck: Int64 = 0
    var isRunning = false

    /// How many checks in a row must disagree with `isHealthy` to change it.
    static let checksToChange = 2
}

extension GatewayServer {
    /// How often a name is resolved again, in seconds. getaddrinfo(3) does not return how long an answer is valid.
    private static let resolutionSeconds: Int64 = 10
    /// How often the name of an unreachable upstream is resolved again, in seconds.
    private static let urgentResolutionSeconds: Int64 = 1

    /// Adds the known addresses of new upstreams to the update. The health of new and removed upstreams is forgotten.
    func locateUpstreams(_ update: inout TableUpdate) {
        for number in update.removedUpstreams + update.upstreams.map(\.number) { health[number] = nil }
        update.places = update.upstreams.map { place(of: $0.upstream, $0.number) }
    }

    private func tellAll(_ message: WorkerMessage) {
        for worker in workers + [admin] { worker.mailbox.post(message) }
    }

    /// The known addresses of an upstream. There are none if the upstream's host name was never resolved.
    private func place(of upstream: Upstream, _ number: UpstreamNumber) -> ResolvedUpstream {
        var place = ResolvedUpstream(number: number)
        switch upstream.transport {
        case .unix(let path): place.addresses = [SocketAddress(unixPath: path)]
        case .http(let host, let port), .https(let host, let port), .h2c(let host, let port):
            if let literal = upstream.addressLiteral {
                place.addresses = [SocketAddress(literal, port: port)]
            } else if let answer = resolutions[host] {
                place.addresses = answer.addresses.map { $0.with(port: port) }
                place.failure = answer.failure
            }
        }
        return place
    }

    /// Starts to resolve names of new upstreams that were never resolved.
    ///
    /// - Returns: The names of all new upstreams.
    func askForNames(of update: TableUpdate) -> Set<String> {
        let names = Set(update.upstreams.compactMap(\.upstream.nameToResolve))
        let unknown = names.filter { resolutions[$0] == nil }
        lookUp(unknown)
        return names
    }

    private func lookUp(_ names: Set<String>) {
        // Each name is resolved only once at a time. Otherwise a name whose server does not answer would occupy all
        // threads of the resolver.
        let names = names.subtracting(namesUnderWay)
        guard !names.isEmpty else { return }
        for name in names { resolvedAt[name] = Self.uptime }
        namesUnderWay.formUnion(names)
        urgentNames.subtract(names)
        resolver.resolve(Array(names))
    }

    /// A worker could not connect to this upstream. The upstream's addresses may have changed, so its name is resolved
    /// again soon.
    func upstreamUnreachable(_ number: UpstreamNumber) {
        guard let name = compiler.upstreams[number]?.nameToResolve else { return }
        urgentNames.insert(name)
        resolveNames(Self.uptime)
    }

    func resolveNames(_ now: Int64) {
        let names = Set(compiler.upstreams.names.keys).union(heldChange?.names ?? [])
        for name in resolvedAt.keys where !names.contains(name) {
            resolvedAt[name] = nil
            resolutions[name] = nil
        }
        urgentNames.formIntersection(names)
        lookUp(
            names.filter { name in
                let pause = urgentNames.contains(name) ? Self.urgentResolutionSeconds : Self.resolutionSeconds
                return now - (resolvedAt[name] ?? .min / 2) >= pause
            })
    }

    /// Handles the answer of the resolver. If the name can't be resolved now, its old addresses stay in use, because
    /// they worked before.
    func nameResolved(_ answer: Resolver.Answer) {
        namesUnderWay.remove(answer.name)
        let former = resolutions[answer.name]
        if answer.addresses.isEmpty, let former, !former.addresses.isEmpty {
            log.warning("\(answer.failure ?? "no address"); its former addresses stay in use")
            return
        }
        resolutions[answer.name] = answer
        guard former?.addresses != answer.addresses || former?.failure != answer.failure else { return }
        if let failure = answer.failure { log.error(failure) }
        for (number, upstream) in compiler.upstreams.all where upstream.nameToResolve == answer.name {
            tellAll(.place(place(of: upstream, number)))
        }
    }

    // MARK: Health

    func checkHealth(_ now: Int64) {
        // An upstream that is no longer checked counts as healthy.
        for (number, state) in health where compiler.healthChecks[number] == nil {
            health[number] = nil
            if !state.isHealthy { tellAll(.health(number, isHealthy: true)) }
            if let upstream = compiler.upstreams[number] { status.change { $0.health[upstream.text] = nil } }
        }
        for (number, target) in compiler.healthChecks {
            var state = health[number] ?? HealthState()
            guard now >= state.nextCheck, !state.isRunning else { continue }
            state.nextCheck = now + max(1, target.check.interval.components.seconds)
            state.isRunning = true
            health[number] = state
            admin.mailbox.post(.checkHealth(HealthProbe(number, target)))
        }
    }

    func recordHealth(_ number: UpstreamNumber, _ isHealthy: Bool, _ reason: String) {
        guard var state = health[number], let upstream = compiler.upstreams[number] else { return }
        state.isRunning = false
        state.streak = isHealthy == state.isHealthy ? 0 : state.streak + 1
        if state.streak >= HealthState.checksToChange {
            (state.isHealthy, state.streak) = (isHealthy, 0)
            tellAll(.health(number, isHealthy: isHealthy))
            isHealthy
                ? log.info("\(upstream.text) is well again")
                : log.warning("\(upstream.text) is not well: \(reason)")
        }
        health[number] = state
        let isWell = state.isHealthy
        status.change { $0.health[upstream.text] = isWell }
    }
}

extension HealthProbe {
    fileprivate init(_ number: UpstreamNumber, _ target: StateCompiler.HealthTarget) {
        upstream = number
        let service = target.check.grpcService
        usesHTTP2 = target.usesHTTP2 || service != nil
        isCall = service != nil
        let head = """
            \(isCall ? "POST /grpc.health.v1.Health/Check" : "GET \(target.check.path)") HTTP/1.1\r
            Host: \(target.host.text)\r
            User-Agent: aegis-health-check\r
            \(isCall ? "Content-Type: application/grpc\r\nTE: trailers" : "Connection: close")\r
            \r

            """
        headBytes = head.utf8.count
        request = Array(head.utf8) + (service.map(Self.message) ?? [])
        var host = Host.forHealthChecks
        host.domain = target.host
        host.timeouts.connect = target.check.timeout
        host.timeouts.read = target.check.timeout
        site = Site(host, upstreams: [number])
    }

    /// A HealthCheckRequest of grpc.health.v1 with the prefix of gRPC's messages. The name of the service is its field 1.
    private static func message(_ service: String) -> [UInt8] {
        let name = Array(service.utf8)
        // A length above 127 takes two bytes.
        let length = name.count < 128 ? [UInt8(name.count)] : [UInt8(name.count & 127 | 128), UInt8(name.count >> 7)]
        let field = name.isEmpty ? [] : [0x0A] + length + name
        return [0, 0, 0, UInt8(field.count >> 8), UInt8(field.count & 255)] + field
    }
}
