import ConfigModel

/// What health checks have found of an upstream.
struct HealthState {
    var isHealthy = true
    /// How many checks in a row have found the other.
    var streak = 0
    var nextCheck: Int64 = 0
    var isRunning = false

    /// So many checks in a row change what is thought of an upstream.
    static let checksToChange = 2
}

extension GatewayServer {
    /// How often names are looked up again, in seconds. The system's resolver does not tell how long an answer is good.
    private static let resolutionSeconds: Int64 = 10
    /// How often when connections fail, in seconds.
    private static let urgentResolutionSeconds: Int64 = 1

    /// Finds out where new upstreams are; of their health nothing is known.
    func locateUpstreams(_ update: inout TableUpdate) {
        for number in update.removedUpstreams + update.upstreams.map(\.number) { health[number] = nil }
        update.places = update.upstreams.map { place(of: $0.upstream, $0.number) }
    }

    private func tellAll(_ message: WorkerMessage) {
        for worker in workers + [admin] { worker.mailbox.post(message) }
    }

    /// Where an upstream is, as far as it is known.
    private func place(of upstream: Upstream, _ number: UpstreamNumber) -> UpstreamPlace {
        var place = UpstreamPlace(number: number)
        switch upstream.transport {
        case .unix(let path): place.addresses = [SocketAddress(unixPath: path)]
        case .http(let host, let port), .https(let host, let port):
            if let literal = upstream.addressLiteral {
                place.addresses = [SocketAddress(literal, port: port)]
            } else if let answer = resolutions[host] {
                place.addresses = answer.addresses.map { $0.with(port: port) }
                place.failure = answer.failure
            }
        }
        return place
    }

    /// The names of new upstreams. Those of which nothing is known yet begin to be looked up.
    func askForNames(of update: TableUpdate) -> Set<String> {
        let names = Set(update.upstreams.compactMap(\.upstream.nameToResolve))
        let unknown = names.filter { resolutions[$0] == nil }
        lookUp(unknown)
        return names
    }

    private func lookUp(_ names: Set<String>) {
        // One at a time of each, or a name whose server is silent would occupy all who look names up.
        let names = names.subtracting(namesUnderWay)
        guard !names.isEmpty else { return }
        for name in names { resolvedAt[name] = Self.uptime }
        namesUnderWay.formUnion(names)
        urgentNames.subtract(names)
        resolver.resolve(Array(names))
    }

    /// A worker could not connect to an upstream: if its name has other addresses by now, they are wanted at once.
    func upstreamUnreachable(_ number: UpstreamNumber) {
        guard let name = compiler.upstreams[number]?.nameToResolve else { return }
        urgentNames.insert(name)
        resolveNames(Self.uptime)
    }

    /// Looks the names of upstreams up again when it is time: after a while, or as soon as may be where a connection failed.
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

    /// Takes what came of looking a name up. A name that can't be looked up any more keeps its addresses: they have worked.
    func take(_ answer: Resolver.Answer) {
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

    /// Has upstreams checked whose time has come.
    func checkHealth(_ now: Int64) {
        // What is no longer checked counts as well.
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

    func takeHealth(_ number: UpstreamNumber, _ isHealthy: Bool, _ reason: String) {
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
        request = Array(
            """
            GET \(target.check.path) HTTP/1.1\r
            Host: \(target.host)\r
            User-Agent: aegis-health-check\r
            Connection: close\r
            \r

            """.utf8)
        var host = Host.forHealthChecks
        host.timeouts.connect = target.check.timeout
        host.timeouts.read = target.check.timeout
        site = Site(host, upstreams: [number])
    }
}
