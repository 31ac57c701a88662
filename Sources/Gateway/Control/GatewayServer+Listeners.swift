import ConfigModel
import Glibc

struct Listening {
    let address: ListenAddress
    var role: ListenerRole

    /// Whether the admin worker listens at this address. The other workers listen at all other addresses.
    var isAdmin: Bool { role.isAdmin }
}

/// An old listening address whose port has moved to another address. The gateway keeps the old address for a short
/// time, since closing it at once would reset clients that are just connecting.
struct Retiring {
    /// How long new connections are still accepted, in milliseconds. If a client sends nothing, TCP_DEFER_ACCEPT makes
    /// the kernel probe the client again after a second and only then pass on the connection. So this time is longer
    /// than a second.
    static let milliseconds: Int64 = 2500

    /// How long the sockets stay open after the kernel has begun to drop new connections, in milliseconds. TCP
    /// handshakes that had already begun are complete by then.
    static let lastMilliseconds: UInt32 = 50

    let listening: Listening
    /// When the kernel begins to drop new connections, in milliseconds of the monotonic clock.
    let end: Int64
    /// Whether the kernel already drops new connections.
    var isLast = false
}

extension GatewayServer {
    /// Without a state there are no settings, so the admin listener uses its default address.
    func listenWithoutState() {
        if workers.isEmpty, heldChange == nil { listen(at: compiler.settings.admin.address, .admin) }
    }

    /// Listens at all addresses of the settings, and stops listening at all other addresses.
    func applyListeners() {
        var wanted: [String: Listening] = [:]
        for address in compiler.settings.http { wanted[address.text] = Listening(address: address, role: .http) }
        for address in compiler.settings.https { wanted[address.text] = Listening(address: address, role: .https) }
        let admin = compiler.settings.admin.address
        wanted[admin.text] = Listening(address: admin, role: .admin)
        if let node = compiler.node?.address?.listener { wanted[node.text] = Listening(address: node, role: .node) }
        reclaim(wanted)
        for (text, new) in wanted { giveRole(new.role, to: text) }
        let gone = listening.filter { wanted[$0.key]?.role != $0.value.role }
        let fresh = wanted.values.filter { listening[$0.address.text]?.role != $0.role }
        // If a port moves to another address, the new address is opened before the old address is closed.
        let (moving, ended) = gone.reduce(into: ([Listening](), [String]())) { parts, entry in
            let (text, former) = entry
            let goesOn = fresh.contains { $0.address.port == former.address.port && $0.isAdmin == former.isAdmin }
            if goesOn, wanted[text] == nil { parts.0.append(former) } else { parts.1.append(text) }
        }
        stopListening(at: ended)
        listenFailures = listenFailures.filter { wanted[$0.key] != nil }
        for new in fresh.sorted(by: { $0.address.text < $1.address.text }) { listen(at: new.address, new.role) }
        for former in moving {
            // If the new address can't be opened, the old address stays open.
            let port = former.address.port
            guard fresh.allSatisfy({ $0.address.port != port || listening[$0.address.text] != nil }) else { continue }
            retire(former)
        }
    }

    /// A retiring address that the new settings name again stays open.
    private func reclaim(_ wanted: [String: Listening]) {
        for (text, former) in retiring {
            guard let new = wanted[text], new.isAdmin == former.listening.isAdmin else { continue }
            retiring[text] = nil
            listening[text] = former.listening
            sockets.awaitData(true, at: text)
            if former.isLast { sockets.dropNew(false, at: text) }
            log.info("listening at \(text)", [("for", "\(former.listening.role)")])
        }
    }

    /// Changes the role of an address, if the workers that accept connections there stay the same. Open connections
    /// keep their role.
    private func giveRole(_ role: ListenerRole, to text: String) {
        guard let former = listening[text], former.role != role, !role.isAdmin, !former.isAdmin else { return }
        listening[text]?.role = role
        for worker in workers { worker.mailbox.post(.setRole(role, address: text)) }
        log.info("listening at \(text)", [("for", "\(role)")])
    }

    private func retire(_ former: Listening) {
        let text = former.address.text
        listening[text] = nil
        retiring[text] = Retiring(listening: former, end: Self.monotonicMilliseconds + Retiring.milliseconds)
        sockets.awaitData(false, at: text)
    }

    /// Makes the kernel drop new connections to the retiring addresses whose time is over. `closeRetired` closes the
    /// sockets a moment later.
    func endRetiring() {
        let now = Self.monotonicMilliseconds
        let ended = retiring.filter { $0.value.end <= now && !$0.value.isLast }.map(\.key)
        guard !ended.isEmpty else { return }
        for text in ended {
            retiring[text]?.isLast = true
            sockets.dropNew(true, at: text)
        }
        let events = events
        NamedThread("listeners-end") {
            _ = usleep(Retiring.lastMilliseconds * 1000)
            events.post(.retired)
        }.start()
    }

    /// Closes the addresses at which the kernel already drops new connections.
    func closeRetired() {
        let ended = retiring.filter(\.value.isLast).map(\.key)
        for text in ended { retiring[text] = nil }
        stopListening(at: ended)
    }

    private func stopListening(at addresses: [String]) {
        guard !addresses.isEmpty else { return }
        for worker in workers + [admin] { worker.mailbox.post(.stopListening(addresses)) }
        for address in addresses {
            listening[address] = nil
            sockets.forget(address)
            log.info("no longer listening at \(address)")
        }
    }

    private func listen(at address: ListenAddress, _ role: ListenerRole) {
        let targets = role.isAdmin ? [admin] : workers
        do {
            let descriptors = try sockets.listen(at: address, workers: targets.count)
            for (index, descriptor) in descriptors.enumerated() {
                let target = targets[min(index, targets.count - 1)]
                target.mailbox.post(.listen(Listener(descriptor: descriptor, role: role, address: address.text)))
            }
            listening[address.text] = Listening(address: address, role: role)
            listenFailures[address.text] = nil
            log.info("listening at \(address.text)", [("for", "\(role)")])
        } catch {
            let reason = "can't listen at \(address.text): \(ListeningSockets.reason(for: error, at: address))"
            if listenFailures[address.text] != reason { log.error(reason) }
            listenFailures[address.text] = reason
        }
    }

    /// Called every second. Tries again to listen at the addresses that failed before.
    func retryListening() {
        endRetiring()
        guard !listenFailures.isEmpty, !workers.isEmpty else { return }
        applyListeners()
        guard listenFailures.isEmpty, status.current.phase == .starting,
            status.current.position == position
        else {
            return
        }
        status.change { $0.phase = .ready }
        becameReady()
        reportNode()
    }
}
