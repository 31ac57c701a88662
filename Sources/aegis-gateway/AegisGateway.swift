import AdminAPI
import ArgumentParser
import Gateway
import Glibc
import Issuers
import Operations
import PKI
import ProgramArguments
import SQLiteState
import State
import Synchronization
import SystemPackage

@main
struct AegisGateway: ParsableCommand {
    static func main() {
        do {
            var command = try ArgumentRules.unknownFirst { try parseAsRoot(ProgramArguments.words) }
            try command.run()
        } catch {
            exit(withError: error)
        }
    }

    static let configuration = CommandConfiguration(
        commandName: "aegis-gateway",
        abstract: "Serve the hosts of a state, and follow it as it changes.",
        discussion: """
            aegis-apply makes the state from aegis.yaml. Without a state the gateway waits for one.

            Signals: TERM and INT end the gateway after the requests in progress (a second signal: at once); QUIT ends it \
            at once; HUP reads the state again and reopens logs; USR2 starts the program that is now on disk, which takes \
            over without losing a connection.

            Exit codes:
              0   ended by SIGTERM, SIGINT or SIGQUIT, or replaced by its successor
              1   could not start, or could not continue: the log says why
              64  wrong usage
            """,
        version: "aegis-gateway \(ProgramVersion.number)")

    @Option(help: "The state's file; else AEGIS_STATE, else ./.aegis/state.db.")
    var state: String?

    @Option(
        help: "A file with the key that the state is sealed with, 64 hex digits; else AEGIS_SSL_KEY, else the state's.")
    var keyFile: String?

    @Option(help: "How long open requests may take when the gateway ends, in seconds.")
    var drainTimeout: Int = 30

    @Option(help: "The form of the log on the standard error: text or json.")
    var logFormat: EventLog.Format = .text

    func validate() throws {
        try ArgumentRules.check {
            guard (0...86_400).contains(drainTimeout) else {
                throw ValidationError("--drain-timeout is 0 to 86400 seconds")
            }
        }
    }

    func run() throws {
        OpenSSLMemory.wipeWhenFreed()
        OpenSSLMemory.keepWhenProgramEnds()
        umask(0o077)
        StandardDescriptors.fill()
        signal(SIGPIPE, SIG_IGN)
        // If a file reaches the size limit, a write must fail with an error instead of ending the process.
        signal(SIGXFSZ, SIG_IGN)
        DescriptorLimit.raise()
        if let shortage = DescriptorShortage() { throw GatewayExit(message: "\(shortage)") }
        let path = state ?? Variable.value("AEGIS_STATE") ?? "./.aegis/state.db"
        let keySource = KeySource(file: keyFile)
        try keySource.check()
        let log = EventLog(logFormat)
        let toldExposure = Mutex<String?>(nil)
        var options = GatewayOptions(
            statePath: path, log: log,
            openState: { patience in
                let store = try SQLiteStateStore(following: path, patienceMilliseconds: patience)
                // If other users can access the state's files, the gateway still serves the state. Refusing the state
                // would take down running hosts.
                let exposure = store?.exposure
                // The store is opened often, so a warning is logged only if the exposure has changed.
                let isNews = toldExposure.withLock { told in
                    defer { told = exposure }
                    return told != exposure
                }
                if isNews, let exposure { log.warning("the state '\(path)': \(exposure)") }
                return store
            },
            masterKey: { try keySource.key(for: $0) })
        options.cacheDirectory = Variable.value("AEGIS_SSL_CACHE_DIR")
        options.adminService = Self.adminAPI(path, keySource, cacheDirectory: options.cacheDirectory)
        options.drainMilliseconds = Int64(drainTimeout) * 1000
        options.version = ProgramVersion.number
        options.program = ProgramArguments.all
        options.inheritedSockets = InheritedSockets.find()
        options.readyDescriptor = Variable.value(GatewayServer.readyVariable).flatMap { Int32($0) }
        do {
            let server = try GatewayServer(options)
            let code = server.run()
            // `_exit` does not wait for other threads. Other threads may be waiting on the network, but have no work
            // that must be finished.
            _exit(code)
        } catch {
            throw GatewayExit(message: "\(error)")
        }
    }
}

extension AegisGateway {
    /// How long the admin API waits for a lock of the state, in milliseconds.
    private static let patience = 2000

    /// The admin API over the state at a path, which it opens for each request: admin requests are rare, and the file
    /// may be replaced at any time.
    fileprivate static func adminAPI(_ path: String, _ keySource: KeySource, cacheDirectory: String?) -> AdminAPI {
        let writing = AdminAPI.Writing(
            masterKey: { try keySource.key(for: $0) },
            underLock: { store, deadline, body in
                guard let keeper = try LeaseKeeper.forApplying(in: store, until: deadline) else { return false }
                defer { keeper.release() }
                try body(keeper.holder)
                return true
            },
            awaitService: { store, revision in
                ServedRevision.wait(for: revision, in: store, process: Int(getpid()))
            })
        return AdminAPI(
            AdminAPI.Dependencies(
                version: ProgramVersion.number, writing: writing, now: { Int64(time(nil)) },
                localAuthority: { directory, base in
                    let place = cacheDirectory.map { FilePath($0) } ?? FilePath(base).pushing(FilePath(directory))
                    return LocalAuthority.certificate(in: place)
                },
                openStore: { body in
                    guard let store = try SQLiteStateStore(following: path, patienceMilliseconds: patience) else {
                        return false
                    }
                    defer { store.close() }
                    try body(store)
                    return true
                }))
    }
}

extension EventLog.Format: ExpressibleByArgument {}

struct GatewayExit: Error, CustomStringConvertible {
    let message: String
    var description: String { message }
}
