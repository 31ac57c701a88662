import ConfigModel
import DNS

/// Waits until a TXT record is visible where a CA will look for it: at the resolvers in aegis.yaml, or else at each
/// name server of the zone.
struct DNSPropagation: Sendable {
    /// The name server to which the record was written.
    struct Primary: Sendable {
        let server: DNSServer
        let zone: String
    }

    /// A name server that must see the record. It may have several addresses.
    private struct Observer {
        let label: String
        let lookup: DNSLookup
        /// The name of the TXT record.
        let name: String

        /// Returns the reason why the name server does not show the value. Returns nil if it does.
        func objection(to value: String) -> String? {
            do throws(DNSFailure) {
                let texts = try lookup.txt(name)
                if texts.contains(value) { return nil }
                return texts.isEmpty ? "\(label) has no TXT record there" : "\(label) has other TXT records there"
            } catch {
                return error.reason
            }
        }
    }

    private static let firstPause = Duration.milliseconds(500)
    private static let longestPause = Duration.seconds(5)

    private let settings: DNSProvider.PropagationWait
    private let primary: Primary?
    private let now: @Sendable () -> Int64
    private let wait: @Sendable (Duration) -> Void
    private let system: DNSLookup
    private let port: UInt16
    private let timeout: Duration
    private let tries: Int

    /// Prepares the wait. `timeout` and `tries` limit each question to a name server.
    init(
        _ settings: DNSProvider.PropagationWait, primary: Primary?, now: @escaping @Sendable () -> Int64,
        wait: @escaping @Sendable (Duration) -> Void, system: DNSLookup, port: UInt16,
        timeout: Duration = .seconds(5), tries: Int = 2
    ) {
        self.settings = settings
        self.primary = primary
        self.now = now
        self.wait = wait
        self.system = system
        self.port = port
        self.timeout = timeout
        self.tries = tries
    }

    /// Waits until all observers see the value. Throws if that takes longer than the `propagation_timeout` in
    /// aegis.yaml.
    func await(name: String, value: String) throws(IssuanceFailure) {
        let seconds = settings.timeout.components.seconds
        let deadline = now() + seconds
        var pending: [Observer]
        do throws(DNSFailure) {
            pending = try WaitNote.during("the name servers of '\(name)' are being looked up") {
                () throws(DNSFailure) in try observers(of: name)
            }
        } catch {
            throw IssuanceFailure(
                "who has to see '\(name)' was not found: \(error.reason)",
                hint: error.hint ?? "'resolvers' names some that have to")
        }
        var pause = Self.firstPause
        while true {
            var objections: [String] = []
            pending.removeAll { observer in
                let objection = WaitNote.during("the name server \(observer.label) has not answered yet") {
                    observer.objection(to: value)
                }
                guard let objection else { return true }
                objections.append(objection)
                return false
            }
            guard let objection = objections.first else { return }
            guard now() < deadline else {
                throw IssuanceFailure(
                    "the TXT record at '\(name)' is not seen after \(seconds) s: \(objection)",
                    hint: "'propagation_timeout' says how long it may take")
            }
            WaitNote.during("the TXT record at '\(name)' is not seen yet: \(objection)") { wait(pause) }
            pause = min(pause * 2, Self.longestPause)
        }
    }

    /// Asks all observers about a name. Returns the error of each observer that does not answer.
    func silent(about name: String) throws(DNSFailure) -> [String] {
        try observers(of: name).compactMap { observer in
            do throws(DNSFailure) {
                _ = try observer.lookup.txt(observer.name)
                return nil
            } catch {
                return error.reason
            }
        }
    }

    private func observers(of name: String) throws(DNSFailure) -> [Observer] {
        guard settings.resolvers.isEmpty else {
            return try settings.resolvers.map { (resolver) throws(DNSFailure) in
                Observer(label: resolver, lookup: lookup([try DNSServer(resolver)]), name: name)
            }
        }
        if let primary {
            // A private zone is not in the public DNS. Then only the zone's primary server is asked.
            let zone = try? system.zone(of: name)
            guard let zone, zone.name == primary.zone else {
                return [Observer(label: primary.server.description, lookup: lookup([primary.server]), name: name)]
            }
            return try observers(of: name, in: zone)
        }
        // If the name is an alias, the webhook may write the record in the zone of the alias's target.
        let target = try system.canonicalName(of: name)
        return try observers(of: target, in: system.zone(of: target))
    }

    private func observers(of name: String, in zone: DNSLookup.Zone) throws(DNSFailure) -> [Observer] {
        let observers = try zone.nameServers.map { (server) throws(DNSFailure) in
            let addresses = try system.addresses(server)
            guard !addresses.isEmpty else { throw DNSFailure("the name server '\(server)' has no address") }
            let servers = addresses.map { DNSServer(host: $0, port: port) }
            return Observer(label: server, lookup: lookup(servers), name: name)
        }
        guard !observers.isEmpty else { throw DNSFailure("the zone '\(zone.name)' has no name servers") }
        return observers
    }

    private func lookup(_ servers: [DNSServer]) -> DNSLookup {
        DNSLookup(servers: servers, timeout: timeout, tries: tries)
    }
}
