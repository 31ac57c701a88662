import ArgumentParser
import ConfigModel
import Glibc
import PKI
import Reconciler
import SQLiteState
import State
import SystemPackage

/// Ends the program with what could not be done.
struct CommandFailure: Error {
    let message: String
    var hint: String?
    var status = ExitCode.failure

    /// Prints the failure and gives the exit code to throw.
    func report() -> ExitCode {
        Terminal.complain("aegis-apply: \(message)\n" + (hint.map { "hint: \($0)\n" } ?? ""))
        return status
    }
}

/// Runs a command's work and turns its errors into words and exit codes.
func reporting<Value>(_ work: () throws -> Value) throws -> Value {
    do {
        return try work()
    } catch let failure as CommandFailure {
        throw failure.report()
    } catch let error as StateError where error.isBusy {
        throw CommandFailure(message: "\(error)", status: ExitStatus.locked).report()
    } catch StateError.leaseLost {
        throw CommandFailure(message: "another apply has taken the lock meanwhile", status: ExitStatus.locked).report()
    } catch let error as StateError {
        throw CommandFailure(message: "\(error)").report()
    } catch let error as RekeyError {
        throw CommandFailure(message: "\(error)").report()
    }
}

extension StateError {
    fileprivate var isBusy: Bool { if case .busy = self { true } else { false } }
}

extension String {
    /// The text without control characters, which could drive a terminal or break a line.
    var printable: String {
        String(String.UnicodeScalarView(unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : $0 }))
    }
}

/// The time, in seconds since 1970.
func currentTime() -> Int64 { Int64(time(nil)) }

/// How a command finds the state.
struct StateOptions: ParsableArguments {
    @Option(help: "The configuration that names the state.", completion: .file(extensions: ["yaml", "yml"]))
    var config = "aegis.yaml"

    @Option(help: "The state itself, in place of a configuration.", completion: .file())
    var state: String?

    /// The configuration, unless the state is named itself.
    func configuration() throws -> (file: ConfigurationFile, configuration: Configuration)? {
        guard state == nil else { return nil }
        let file = try ConfigurationFile.read(config)
        if file.parsed.configuration == nil {
            Terminal.complain("hint: --state PATH finds the state without the file\n")
        }
        return (file, try file.validated(.text))
    }

    /// The state for reading; ends the program when there is none.
    func openForReading() throws -> SQLiteStateStore {
        let path = try state ?? configuration().map { $0.file.resolve($0.configuration.statePath).string } ?? ""
        guard let store = try SQLiteStateStore(readingFrom: path) else {
            throw CommandFailure(message: "there is no state '\(path)' yet", hint: "aegis-apply makes it")
        }
        return store
    }
}

extension LeaseHolder {
    /// This process.
    static func current() -> LeaseHolder {
        LeaseHolder(
            machine: machineName(), scope: processScope(), process: Int(getpid()),
            startTicks: startTicks(of: Int(getpid())) ?? 0,
            user: Terminal.environment("USER")?.printable ?? "uid \(getuid())")
    }

    /// The boot and the PID namespace: a process number of another says nothing here.
    private static func processScope() -> String {
        var link = [CChar](repeating: 0, count: 64)
        // At most the buffer's length is written.
        let count = unsafe readlink("/proc/self/ns/pid", &link, link.count)
        let namespace = String(decoding: link.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let boot = content(of: "/proc/sys/kernel/random/boot_id").filter { !$0.isWhitespace }
        return "\(boot)/\(namespace)"
    }

    private static func content(of path: String) -> String {
        guard let descriptor = try? FileDescriptor.open(FilePath(path), .readOnly) else { return "" }
        var bytes = [UInt8](repeating: 0, count: 1024)
        // The buffer is lent to the call alone.
        let count = try? descriptor.closeAfter {
            try unsafe bytes.withUnsafeMutableBytes { try unsafe descriptor.read(into: $0) }
        }
        return String(decoding: bytes.prefix(count ?? 0), as: UTF8.self)
    }

    static func machineName() -> String {
        var name = [CChar](repeating: 0, count: 256)
        // The last byte stays 0 whatever is written before it.
        guard unsafe gethostname(&name, name.count - 1) == 0 else { return "unknown" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            .replacing(" ", with: "-")
    }

    /// Whether the holder still runs; for holders of this machine.
    static func isAlive(_ holder: LeaseHolder) -> Bool { startTicks(of: holder.process) == holder.startTicks }

    /// Field 22 of a process's stat (proc(5)); nil when there is no such process.
    private static func startTicks(of process: Int) -> UInt64? {
        let text = content(of: "/proc/\(process)/stat")
        // The second field is a name in parentheses that may have spaces.
        let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
        return fields.count > 19 ? UInt64(fields[19]) : nil
    }
}
