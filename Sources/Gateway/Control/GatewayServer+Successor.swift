import CLinux
import Glibc

/// A process of a new version that takes over the listening sockets.
struct Successor {
    let process: pid_t
    /// Becomes readable when it serves, or closed when it ends before.
    let ready: Int32
    /// When it is given up, in seconds since 1970.
    let deadline: Int64
}

extension GatewayServer {
    /// How long a successor may take until it serves, in seconds.
    private static let successorSeconds: Int64 = 60
    /// Where handed-over sockets begin in a successor.
    private static let firstDescriptor: Int32 = 200
    /// The names of the variables by which it learns of them.
    package static let socketsVariable = "AEGIS_INHERITED_SOCKETS"
    /// The variable that names where to say that it serves.
    package static let readyVariable = "AEGIS_READY_DESCRIPTOR"

    /// Starts this program anew, as it now is on disk, with the sockets that connections wait on: none is lost.
    func startSuccessor() {
        guard !isEnding, !options.program.isEmpty else { return }
        if let successor {
            return log.warning("a successor is starting already", [("process", "\(successor.process)")])
        }
        var pipe: [Int32] = [0, 0]
        guard unsafe pipe2(&pipe, O_CLOEXEC) == 0 else { return log.error("no successor: \(SystemFailure("pipe2"))") }
        let descriptors = sockets.open.values.flatMap { $0 } + [pipe[1]]
        do {
            let process = try spawn(descriptors)
            _ = close(pipe[1])
            successor = Successor(
                process: process, ready: pipe[0], deadline: Self.uptime + Self.successorSeconds)
            log.info("started a successor", [("process", "\(process)")])
        } catch {
            _ = close(pipe[0])
            _ = close(pipe[1])
            log.error("no successor can be started: \(error)")
        }
    }

    private func spawn(_ descriptors: [Int32]) throws(SystemFailure) -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        // A process that is a successor itself has its sockets where the next one's go: copies stand clear of them.
        let above = Self.firstDescriptor + Int32(descriptors.count)
        let copies = descriptors.map { fcntl($0, F_DUPFD_CLOEXEC, above) }
        defer { copies.forEach(Socket.close) }
        for (index, copy) in copies.enumerated() {
            // What it is copied to is open in the new program, where the original closes by itself.
            unsafe posix_spawn_file_actions_adddup2(&actions, copy, Self.firstDescriptor + Int32(index))
        }
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // It must not begin with this thread's blocked signals.
        var none = sigset_t()
        unsafe sigemptyset(&none)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let count = descriptors.count - 1
        let list = (0..<count).map { "\(Self.firstDescriptor + Int32($0))" }.joined(separator: ",")
        let environment =
            Environment.current.filter { !$0.hasPrefix("AEGIS_INHERITED") && !$0.hasPrefix("AEGIS_READY") }
            + ["\(Self.socketsVariable)=\(list)", "\(Self.readyVariable)=\(Self.firstDescriptor + Int32(count))"]
        var process: pid_t = 0
        let result = unsafe Environment.withCStrings(options.program) { arguments in
            unsafe Environment.withCStrings(environment) { variables in
                unsafe posix_spawnp(&process, options.program[0], &actions, &attributes, arguments, variables)
            }
        }
        guard result == 0 else { throw SystemFailure("posix_spawn", code: result) }
        return process
    }

    /// Gives a successor up that does not come to serve.
    func checkSuccessor() {
        guard let successor, Self.uptime >= successor.deadline else { return }
        log.error("the successor does not serve after \(Self.successorSeconds) s and is ended; this process goes on")
        // Its end closes the pipe, of which `successorSpoke` hears.
        _ = kill(successor.process, SIGKILL)
    }

    /// Ends a successor that does not serve yet: who ends a gateway during an upgrade means both.
    func endSuccessor(by signal: Int32) {
        guard let successor else { return }
        log.info("the successor does not serve yet and is ended too", [("process", "\(successor.process)")])
        _ = kill(successor.process, signal)
        _ = close(successor.ready)
        self.successor = nil
    }

    /// The successor serves, or has ended.
    func successorSpoke() {
        guard let successor else { return }
        var byte: UInt8 = 0
        let count = unsafe read(successor.ready, &byte, 1)
        _ = close(successor.ready)
        self.successor = nil
        guard count == 1 else {
            var code: Int32 = 0
            _ = unsafe waitpid(successor.process, &code, WNOHANG)
            return log.error("the successor has ended before it served; this process goes on")
        }
        log.info("the successor serves; ending here")
        drain(handedOver: true)
    }
}

/// The environment as C has it.
enum Environment {
    /// The variables as `NAME=value`.
    static var current: [String] {
        var result: [String] = []
        var entry = unsafe environ
        while let text = unsafe entry.pointee {
            unsafe result.append(String(cString: text))
            unsafe entry += 1
        }
        return result
    }

    /// The texts as a list that ends with nil, for as long as `body` runs.
    static func withCStrings<Result>(
        _ texts: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        let list = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: texts.count + 1)
        for (index, text) in texts.enumerated() { unsafe (list + index).initialize(to: strdup(text)) }
        unsafe (list + texts.count).initialize(to: nil)
        defer {
            for index in texts.indices { unsafe free(list[index]) }
            unsafe list.deallocate()
        }
        return unsafe body(list)
    }
}
