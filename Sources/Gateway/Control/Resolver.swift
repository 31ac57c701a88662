import Glibc
import Synchronization

/// Resolves host names on threads of its own, since getaddrinfo(3) can take many seconds. The resolver keeps no
/// results. Its callers resolve a name again and compare the addresses to notice a change.
final class Resolver: Sendable {
    struct Answer: Sendable {
        let name: String
        let addresses: [SocketAddress]
        /// The reason why there is no address; nil if there are addresses.
        let failure: String?
    }

    private struct Work {
        var names: [String] = []
        var isEnded = false
    }

    /// How many names are resolved at the same time. A name whose server does not answer must not delay all other
    /// names.
    private static let threads = 4
    private let work = Mutex(Work())
    private let signal: Mailbox<Void>
    private let deliver: @Sendable (Answer) -> Void

    /// `deliver` is called with each answer, on one of the resolver's threads.
    init(deliver: @escaping @Sendable (Answer) -> Void) throws(SystemFailure) {
        self.deliver = deliver
        signal = try Mailbox()
        for number in 0..<Self.threads { NamedThread("resolver-\(number)") { [self] in run() }.start() }
    }

    /// Names that already wait in the queue are not added again.
    func resolve(_ names: [String]) {
        work.withLock { work in
            let waiting = Set(work.names)
            work.names.append(contentsOf: names.filter { !waiting.contains($0) })
        }
        signal.post(())
    }

    /// The threads end as soon as they have no name to resolve. Names that still wait are dropped.
    func end() {
        work.withLock { work in
            work.names = []
            work.isEnded = true
        }
        signal.post(())
    }

    private func run() {
        var descriptors = [pollfd(fd: signal.descriptor, events: Int16(POLLIN), revents: 0)]
        while true {
            let (name, isEnded) = work.withLock { work in (work.names.popLast(), work.isEnded) }
            if let name {
                deliver(Self.look(up: name))
                continue
            }
            if isEnded { return }
            Poll.wait(for: &descriptors, milliseconds: 1000)
            _ = signal.drain()
        }
    }

    /// Blocks until the name is resolved. The addresses are in the system's order of preference.
    static func look(up name: String) -> Answer {
        // This is safe, since `getaddrinfo` only reads the name and the hints. The returned list is used until
        // `freeaddrinfo` frees it.
        var hints = unsafe addrinfo(
            ai_flags: AI_ADDRCONFIG, ai_family: AF_UNSPEC, ai_socktype: Int32(SOCK_STREAM.rawValue), ai_protocol: 0,
            ai_addrlen: 0, ai_addr: nil, ai_canonname: nil, ai_next: nil)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(name, nil, &hints, &list)
        guard code == 0 else {
            // This is safe, since `gai_strerror` returns a constant text.
            let reason = unsafe String(cString: gai_strerror(code))
            return Answer(name: name, addresses: [], failure: "the name '\(name)' can't be resolved: \(reason)")
        }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var entry = unsafe list
        while let current = unsafe entry {
            if let address = unsafe current.pointee.ai_addr,
                let parsed = unsafe SocketAddress(address, length: Int(current.pointee.ai_addrlen)),
                !addresses.contains(parsed)
            {
                addresses.append(parsed)
            }
            unsafe entry = current.pointee.ai_next
        }
        return Answer(
            name: name, addresses: addresses,
            failure: addresses.isEmpty ? "the name '\(name)' has no address" : nil)
    }
}
