import CLinux
import ConfigModel
import Glibc

/// Creates and keeps the listening sockets. Each address has one socket for each worker (SO_REUSEPORT), so the kernel
/// distributes the connections among the workers. A socket that systemd or an earlier process has passed on is used if
/// its address is wanted.
struct ListeningSockets {
    private struct Inherited {
        let descriptor: Int32
        let name: [UInt8]
    }

    private static let backlog: Int32 = 4096
    private var inherited: [Inherited]
    /// The sockets in use, by address. A successor inherits all of them.
    private(set) var open: [String: [Int32]] = [:]
    private var ports: [String: Int] = [:]
    /// The addresses whose sockets were created by this process. No other process shares these sockets.
    private var owned: Set<String> = []

    /// Descriptors that are not sockets are ignored.
    init(inherited descriptors: [Int32]) {
        inherited = descriptors.compactMap { descriptor in
            Self.name(of: descriptor).map { Inherited(descriptor: descriptor, name: $0) }
        }
    }

    /// Returns the sockets for an address, at least one for each worker.
    mutating func listen(at address: ListenAddress, workers: Int) throws(SystemFailure) -> [Int32] {
        var descriptors: [Int32] = []
        do {
            let handedOver = inherited.count
            // If this process already listens on the port, at another address, `probe` could find this process's own
            // socket.
            let first = try Self.make(address, adopting: &inherited, probes: !ports.values.contains(address.port))
            if inherited.count == handedOver { owned.insert(address.text) }
            descriptors.append(contentsOf: first.prefix(workers))
            // If there are more inherited sockets than workers, the last worker gets the rest. The kernel sends
            // connections to all these sockets, so each socket needs a worker that accepts.
            let surplus = first.dropFirst(workers)
            let mayShare = !surplus.isEmpty || Self.isShared(first)
            while descriptors.count < workers {
                descriptors.append(mayShare ? try Self.duplicate(first[0]) : try Self.bind(address))
            }
            descriptors.append(contentsOf: surplus)
        } catch {
            descriptors.forEach(Socket.close)
            throw error
        }
        (open[address.text], ports[address.text]) = (descriptors, address.port)
        return descriptors
    }

    /// Forgets an address without closing its sockets. The workers close the sockets.
    mutating func forget(_ address: String) {
        (open[address], ports[address]) = (nil, nil)
        owned.remove(address)
    }

    /// Sets whether the kernel holds back a new connection until the client's first bytes have arrived. For new
    /// sockets, the kernel does so.
    func awaitData(_ awaits: Bool, at address: String) {
        for descriptor in open[address] ?? [] { Self.awaitData(awaits, descriptor) }
    }

    private static func awaitData(_ awaits: Bool, _ descriptor: Int32) {
        // TCP_DEFER_ACCEPT avoids waking up a worker for a connection that has nothing to read yet.
        Socket.set(descriptor, Int32(IPPROTO_TCP), TCP_DEFER_ACCEPT, awaits ? 1 : 0)
    }

    /// Sets whether the kernel drops the first packet of new connections to an address. The client sends the packet
    /// again after a second, and reaches the socket that listens then. Established connections are not affected.
    /// Sockets shared with another process are left alone.
    func dropNew(_ drops: Bool, at address: String) {
        guard owned.contains(address) else { return }
        for descriptor in open[address] ?? [] { _ = aegis_drop_new(descriptor, drops ? 1 : 0) }
    }

    /// Closes the inherited sockets that no configured address uses.
    mutating func closeUnused() {
        for socket in inherited { Socket.close(socket.descriptor) }
        inherited = []
    }

    private static func make(
        _ address: ListenAddress, adopting inherited: inout [Inherited], probes: Bool
    ) throws(SystemFailure) -> [Int32] {
        let wanted = socketAddresses(of: address).map(\.bytes)
        let adopted = inherited.filter { wanted.contains($0.name) }
        guard !adopted.isEmpty else {
            if probes { try probe(address) }
            return [try bind(address)]
        }
        inherited.removeAll { wanted.contains($0.name) }
        for socket in adopted {
            _ = fcntl(socket.descriptor, F_SETFD, FD_CLOEXEC)
            _ = fcntl(socket.descriptor, F_SETFL, O_NONBLOCK)
        }
        return adopted.map(\.descriptor)
    }

    /// Whether the first socket was bound without SO_REUSEPORT. If so, no second socket can be bound to the same
    /// address, and all workers share the first socket.
    private static func isShared(_ descriptors: [Int32]) -> Bool {
        var value: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        // This is safe, since `getsockopt` writes at most `size` bytes into `value`.
        return unsafe getsockopt(descriptors[0], SOL_SOCKET, SO_REUSEPORT, &value, &size) == 0 && value == 0
    }

    /// The addresses to bind, in order of preference. If no IP address is given, these are `::`, which also accepts
    /// IPv4, and then `0.0.0.0` for machines without IPv6.
    private static func socketAddresses(of address: ListenAddress) -> [SocketAddress] {
        if let given = address.address { return [SocketAddress(given, port: address.port)] }
        return ["::", "0.0.0.0"].compactMap { IPAddress($0) }.map { SocketAddress($0, port: address.port) }
    }

    /// Throws if another process listens on the address. With SO_REUSEPORT, two gateways of the same user could bind
    /// the same address, and each would get half of the connections.
    private static func probe(_ address: ListenAddress) throws(SystemFailure) {
        for candidate in socketAddresses(of: address) {
            guard let descriptor = try? Socket.make(family: candidate.family) else { continue }
            defer { Socket.close(descriptor) }
            Socket.set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
            if candidate.family == AF_INET6 { Socket.set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
            let result = unsafe candidate.withSockaddr { unsafe Glibc.bind(descriptor, $0, $1) }
            if result != 0, errno == EADDRINUSE { throw SystemFailure("bind") }
            return
        }
    }

    /// The reason for the failure, with advice if a permission is missing.
    static func reason(for failure: SystemFailure, at address: ListenAddress) -> String {
        let text = SystemFailure.text(failure.code)
        // Only privileged processes may bind ports below 1024 (ip(7)).
        guard failure.code == EACCES, address.port < 1024 else { return text }
        return "\(text): ports below 1024 need CAP_NET_BIND_SERVICE, by AmbientCapabilities= in a systemd unit"
            + " or 'setcap cap_net_bind_service=+ep' on the program"
    }

    private static func duplicate(_ descriptor: Int32) throws(SystemFailure) -> Int32 {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw SystemFailure("fcntl") }
        return copy
    }

    private static func bind(_ address: ListenAddress) throws(SystemFailure) -> Int32 {
        var failure = SystemFailure("socket", code: EAFNOSUPPORT)
        for candidate in socketAddresses(of: address) {
            do throws(SystemFailure) {
                return try bind(candidate)
            } catch {
                failure = error
                // The IPv4 address is tried only if the machine has no IPv6.
                guard [EAFNOSUPPORT, EADDRNOTAVAIL].contains(error.code) else { throw error }
            }
        }
        throw failure
    }

    private static func bind(_ address: SocketAddress) throws(SystemFailure) -> Int32 {
        let descriptor = try Socket.make(family: address.family)
        Socket.set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        Socket.set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1)
        if address.family == AF_INET6 { Socket.set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
        do throws(SystemFailure) {
            guard unsafe address.withSockaddr({ unsafe Glibc.bind(descriptor, $0, $1) }) == 0 else {
                throw SystemFailure("bind")
            }
            guard Glibc.listen(descriptor, backlog) == 0 else { throw SystemFailure("listen") }
            awaitData(true, descriptor)
        } catch {
            Socket.close(descriptor)
            throw error
        }
        return descriptor
    }

    /// The address of a socket, as the raw bytes of its `sockaddr`. Nil if the descriptor is not a socket.
    private static func name(of descriptor: Int32) -> [UInt8]? {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        // This is safe, since `getsockname` writes at most `size` bytes into `storage`. The call sets `size` to the
        // length of the address.
        let result = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, $0, &size)
            }
        }
        guard result == 0 else { return nil }
        return unsafe withUnsafeBytes(of: storage) { unsafe Array($0.prefix(Int(size))) }
    }
}
