import Glibc
import Synchronization

/// Looks host names up, away from all who must not wait: getaddrinfo(3) can take many seconds. Names are asked for again
/// and again; who wants to know of a change compares.
final class Resolver: Sendable {
    /// What came of looking a name up.
    struct Answer: Sendable {
        let name: String
        let addresses: [SocketAddress]
        /// Why there is none.
        let failure: String?
    }

    private struct Work {
        var names: [String] = []
        var isEnded = false
    }

    /// So many names are looked up at once, so that one whose server is silent does not hold up the rest.
    private static let threads = 4
    private let work = Mutex(Work())
    private let signal: Mailbox<Void>
    private let deliver: @Sendable (Answer) -> Void

    /// A resolver that gives its answers to `deliver`, on threads of its own.
    init(deliver: @escaping @Sendable (Answer) -> Void) throws(SystemFailure) {
        self.deliver = deliver
        signal = try Mailbox()
        for number in 0..<Self.threads { NamedThread("resolver-\(number)") { [self] in run() }.start() }
    }

    /// Has names looked up, those alone that are not waiting already.
    func resolve(_ names: [String]) {
        work.withLock { work in
            let waiting = Set(work.names)
            work.names.append(contentsOf: names.filter { !waiting.contains($0) })
        }
        signal.post(())
    }

    /// Ends its threads once they have nothing more to do.
    func end() {
        work.withLock { work in
            work.names = []
            work.isEnded = true
        }
        signal.post(())
    }

    private func run() {
        var poll = pollfd(fd: signal.descriptor, events: Int16(POLLIN), revents: 0)
        while true {
            let (name, isEnded) = work.withLock { work in (work.names.popLast(), work.isEnded) }
            if let name {
                deliver(Self.look(up: name))
                continue
            }
            if isEnded { return }
            _ = unsafe Glibc.poll(&poll, 1, 1000)
            _ = signal.take()
        }
    }

    /// The addresses of a name, in the order that the system prefers.
    static func look(up name: String) -> Answer {
        var hints = unsafe addrinfo()
        unsafe hints.ai_family = AF_UNSPEC
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(name, nil, &hints, &list)
        guard code == 0 else {
            // A static text.
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
