import CLinux
import Glibc

/// A new process of the gateway, perhaps of a newer version, that will take over the listening sockets.
struct Successor {
    let process: pid_t
    /// The read end of a pipe. The successor writes a byte into the pipe when it is ready. If the successor ends before
    /// that, the pipe closes.
    let ready: Int32
    /// A successor that is not ready by this time is killed. In seconds of the monotonic clock.
    let deadline: Int64
}

extension GatewayServer {
    /// How long a successor may take to become ready, in seconds.
    private static let successorSeconds: Int64 = 60
    /// The descriptor of the first passed socket in the successor. The other sockets have the next numbers.
    private static let firstDescriptor: Int32 = 200
    /// The environment variable that lists the descriptors of the passed sockets.
    package static let socketsVariable = "AEGIS_INHERITED_SOCKETS"
    /// The environment variable with the descriptor of the pipe through which the successor reports that it is ready.
    package static let readyVariable = "AEGIS_READY_DESCRIPTOR"

    /// Starts the program again, perhaps in a newer version, and passes the listening sockets to the new process. So no
    /// connection is lost.
    func startSuccessor() {
        guard !isEnding, !options.program.isEmpty else { return }
        if let successor {
            return log.warning("a successor is starting already", [("process", "\(successor.process)")])
        }
        var pipe: [Int32] = [0, 0]
        // This is safe, since `pipe2` writes two descriptors, for which the array has room.
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
        // This is safe, since `actions` is initialized, used and destroyed within this function.
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        // If this process is itself a successor, its sockets already have the numbers that the next successor needs.
        // Copies with higher numbers avoid the overlap.
        let above = Self.firstDescriptor + Int32(descriptors.count)
        let copies = descriptors.map { fcntl($0, F_DUPFD_CLOEXEC, above) }
        defer { copies.forEach(Socket.close) }
        for (index, copy) in copies.enumerated() {
            // In the new process, `adddup2` creates a descriptor with the wanted number. The copy itself has
            // close-on-exec set, so the new process does not keep the copy.
            unsafe posix_spawn_file_actions_adddup2(&actions, copy, Self.firstDescriptor + Int32(index))
        }
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // Without this empty mask, the signals that this thread blocks would stay blocked in the new process.
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

    /// Kills a successor that is not ready in time.
    func checkSuccessor() {
        guard let successor, Self.uptime >= successor.deadline else { return }
        log.error("the successor does not serve after \(Self.successorSeconds) s and is ended; this process continues")
        // When the successor ends, its pipe closes. `successorSpoke` handles the closed pipe.
        _ = kill(successor.process, SIGKILL)
    }

    /// Passes a signal that ends the gateway to a successor that is not ready yet, since the operator wants both
    /// processes to end.
    func endSuccessor(by signal: Int32) {
        guard let successor else { return }
        log.info("the successor does not serve yet and is ended too", [("process", "\(successor.process)")])
        _ = kill(successor.process, signal)
        _ = close(successor.ready)
        self.successor = nil
    }

    /// Handles an event of the successor's pipe. A byte means that the successor is ready; a closed pipe means that the
    /// successor has ended.
    func successorSpoke() {
        guard let successor else { return }
        var byte: UInt8 = 0
        // This is safe, since `read` writes at most one byte, into `byte`.
        let count = unsafe read(successor.ready, &byte, 1)
        _ = close(successor.ready)
        self.successor = nil
        guard count == 1 else {
            var code: Int32 = 0
            _ = unsafe waitpid(successor.process, &code, WNOHANG)
            return log.error("the successor has ended before it served; this process continues")
        }
        log.info("the successor serves; ending here")
        drain(handedOver: true)
    }
}

enum Environment {
    /// The variables in the form `NAME=value`.
    static var current: [String] {
        var result: [String] = []
        // This is safe, since `environ` is a list of C strings that ends with nil, and nothing in this process changes
        // it.
        var entry = unsafe environ
        while let text = unsafe entry.pointee {
            unsafe result.append(String(cString: text))
            unsafe entry += 1
        }
        return result
    }

    /// Passes the texts to `body` as a list of C strings that ends with nil. The list is valid until `body` returns.
    static func withCStrings<Result>(
        _ texts: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        // This is safe, since the list has room for a copy of each text and for the final nil. `defer` frees the list
        // and the copies.
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
