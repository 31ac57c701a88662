import Gateway
import Glibc

/// Listening sockets that another process passed on.
enum InheritedSockets {
    /// The sockets from systemd (sd_listen_fds(3)), or from the earlier gateway process that this one replaces.
    static func find() -> [Int32] {
        if let list = Variable.value(GatewayServer.socketsVariable) {
            return list.split(separator: ",").compactMap { Int32($0) }
        }
        guard Variable.value("LISTEN_PID").flatMap({ Int32($0) }) == getpid(),
            let count = Variable.value("LISTEN_FDS").flatMap({ Int32($0) }), (1...1000).contains(count)
        else { return [] }
        return (3..<3 + count).map { $0 }
    }
}
