import ArgumentParser
import Gateway
import Glibc
import PKI
import SQLiteState
import State

/// The command line of the gateway.
@main
struct AegisGateway: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "aegis-gateway",
        abstract: "Serve the hosts of a state, and follow it as it changes.",
        discussion: """
            The state is what aegis-apply has made of aegis.yaml. Without one the gateway waits for it.

            Signals: TERM and INT end it after requests under way are done (a second one: at once); HUP reads the state \
            anew and reopens logs; USR2 starts the program as it now is on disk, which takes over without a connection lost.
            """,
        version: "aegis-gateway 0.1.0")

    @Option(help: "The state's file; else AEGIS_STATE, else ./.aegis/state.db.")
    var state: String?

    @Option(
        help: "A file with the key that the state is sealed with, 64 hex digits; else AEGIS_SSL_KEY, else the state's.")
    var keyFile: String?

    @Option(help: "How long requests may take to end when the gateway does, in seconds.")
    var drainTimeout: Int = 30

    @Option(help: "The form of the log on the standard error: text or json.")
    var logFormat: EventLog.Format = .text

    func validate() throws {
        guard (0...86_400).contains(drainTimeout) else {
            throw ValidationError("--drain-timeout is 0 to 86400 seconds")
        }
    }

    func run() throws {
        OpenSSLMemory.wipeWhenFreed()
        umask(0o077)
        signal(SIGPIPE, SIG_IGN)
        DescriptorLimit.raise()
        let path = state ?? Variable.value("AEGIS_STATE") ?? "./.aegis/state.db"
        let keySource = KeySource(file: keyFile)
        var options = GatewayOptions(
            statePath: path, log: EventLog(logFormat),
            openState: { try SQLiteStateStore(following: path) },
            masterKey: { try keySource.key(for: $0) })
        options.cacheDirectory = Variable.value("AEGIS_SSL_CACHE_DIR")
        options.drainMilliseconds = Int64(drainTimeout) * 1000
        options.version = Self.configuration.version
        options.program = CommandLine.arguments
        options.inheritedSockets = InheritedSockets.find()
        options.readyDescriptor = Variable.value(GatewayServer.readyVariable).flatMap { Int32($0) }
        do {
            let server = try GatewayServer(options)
            let code = server.run()
            // Threads that wait on the network have nothing to finish.
            _exit(code)
        } catch {
            throw GatewayExit(message: "\(error)")
        }
    }
}

extension EventLog.Format: ExpressibleByArgument {}

/// Why the gateway could not begin.
struct GatewayExit: Error, CustomStringConvertible {
    let message: String
    var description: String { message }
}

/// Variables of the environment.
enum Variable {
    /// The value; nil when it is not set or empty.
    static func value(_ name: String) -> String? {
        guard let text = unsafe getenv(name) else { return nil }
        // A text of the environment, which nobody changes.
        let value = unsafe String(cString: text)
        return value.isEmpty ? nil : value
    }
}

/// Sockets that were handed over.
enum InheritedSockets {
    /// Those of systemd (sd_listen_fds(3)) and of an earlier process of ours.
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

/// Where the key comes from that the state is sealed with.
struct KeySource: Sendable {
    let file: String?

    /// The key, from the first place that has one.
    func key(for store: any StateStore) throws -> MasterKey {
        if let file {
            guard let text = try PrivateText.read(file) else {
                throw GatewayExit(message: "the key file '\(file)' is not there")
            }
            return try MasterKey(hex: text)
        }
        if let text = Variable.value("AEGIS_SSL_KEY") { return try MasterKey(hex: SecretBytes(Array(text.utf8))) }
        guard let hex = try store.setting(.masterKey) else {
            throw GatewayExit(message: "the state does not keep its key: set AEGIS_SSL_KEY or --key-file")
        }
        return try MasterKey(hex: SecretBytes(hex))
    }
}

/// Secrets in files.
enum PrivateText {
    private static let limit = 4096

    /// The text of a small file without one final line end; nil when there is none.
    static func read(_ path: String) throws -> SecretBytes? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw GatewayExit(message: "the key file '\(path)' can't be read")
        }
        defer { _ = close(descriptor) }
        return SecretBytes(capacity: limit) { output in
            var byte: UInt8 = 0
            while output.freeCapacity > 0, unsafe Glibc.read(descriptor, &byte, 1) == 1 {
                if byte == UInt8(ascii: "\n") { break }
                output.append(byte)
            }
        }
    }
}
