import ConfigModel
import Glibc

/// An address that is listened at.
struct Listening {
    let address: ListenAddress
    var role: ListenerRole

    /// Who accepts there: the admin worker or the others.
    var isAdmin: Bool { role == .admin }
}

/// An address whose port is listened at by another address from now on. Clients are still between connecting and sending their
/// first bytes, and would be reset: it is listened at for a while longer.
struct Retiring {
    /// The kernel asks a silent client again after a second, and then hands its connection over.
    static let milliseconds: Int64 = 2500

    /// From when no connection begins there to when it is closed: what has begun is complete by then.
    static let lastMilliseconds: UInt32 = 50

    let listening: Listening
    /// In milliseconds of the monotonic clock.
    let end: Int64
    /// Whether no connection begins there any more.
    var isLast = false
}

extension GatewayServer {
    /// Listens at the default address for admin requests as long as no state names another.
    func listenWithoutState() {
        if workers.isEmpty, heldChange == nil { listen(at: compiler.settings.admin, .admin) }
    }

    /// Listens where the settings say, and nowhere else.
    func applyListeners() {
        var wanted: [String: Listening] = [:]
        for address in compiler.settings.http { wanted[address.text] = Listening(address: address, role: .http) }
        for address in compiler.settings.https { wanted[address.text] = Listening(address: address, role: .https) }
        let admin = compiler.settings.admin
        wanted[admin.text] = Listening(address: admin, role: .admin)
        takeBack(wanted)
        for (text, new) in wanted { giveRole(new.role, to: text) }
        let gone = listening.filter { wanted[$0.key]?.role != $0.value.role }
        let fresh = wanted.values.filter { listening[$0.address.text]?.role != $0.role }
        // Where a port goes on at another address, that is listened at first.
        let (moving, ended) = gone.reduce(into: ([Listening](), [String]())) { parts, entry in
            let (text, former) = entry
            let goesOn = fresh.contains { $0.address.port == former.address.port && $0.isAdmin == former.isAdmin }
            if goesOn, wanted[text] == nil { parts.0.append(former) } else { parts.1.append(text) }
        }
        stopListening(at: ended)
        listenFailures = listenFailures.filter { wanted[$0.key] != nil }
        for new in fresh.sorted(by: { $0.address.text < $1.address.text }) { listen(at: new.address, new.role) }
        for former in moving {
            // An address that can't be bound elsewhere stays here.
            let port = former.address.port
            guard fresh.allSatisfy({ $0.address.port != port || listening[$0.address.text] != nil }) else { continue }
            retire(former)
        }
    }

    /// An address that was about to go and is wanted again stays.
    private func takeBack(_ wanted: [String: Listening]) {
        for (text, former) in retiring {
            guard let new = wanted[text], new.isAdmin == former.listening.isAdmin else { continue }
            retiring[text] = nil
            listening[text] = former.listening
            sockets.awaitData(true, at: text)
            if former.isLast { sockets.dropNew(false, at: text) }
            log.info("listening at \(text)", [("for", "\(former.listening.role)")])
        }
    }

    /// Gives an address another role where the same workers accept for both: no connection notices.
    private func giveRole(_ role: ListenerRole, to text: String) {
        guard let former = listening[text], former.role != role, role != .admin, !former.isAdmin else { return }
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

    /// Stops listening at addresses that others have taken the place of, once nobody is on the way there.
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

    /// Closes addresses where nothing begins any more.
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
        let targets = role == .admin ? [admin] : workers
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

    /// Tries again to bind addresses that could not be bound.
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
