import Gateway
import Glibc

enum InheritedSockets {
    /// Finds the listening sockets that were passed to this process, by the gateway process that this one replaces or
    /// by systemd (sd_listen_fds(3)).
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
