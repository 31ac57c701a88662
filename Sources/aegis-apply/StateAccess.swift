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
    } catch StateError.leaseLost {
        throw CommandFailure(message: "another apply has taken the lock meanwhile", status: ExitStatus.locked).report()
    } catch let error as StateError {
        throw CommandFailure(message: "\(error)").report()
    } catch let error as RekeyError {
        throw CommandFailure(message: "\(error)").report()
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
            machine: machineName(), process: Int(getpid()), startTicks: startTicks(of: Int(getpid())) ?? 0,
            user: Terminal.environment("USER") ?? "uid \(getuid())")
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
        guard let descriptor = try? FileDescriptor.open(FilePath("/proc/\(process)/stat"), .readOnly) else {
            return nil
        }
        var bytes = [UInt8](repeating: 0, count: 1024)
        // The buffer is lent to the call alone.
        let count = try? descriptor.closeAfter {
            try unsafe bytes.withUnsafeMutableBytes { try unsafe descriptor.read(into: $0) }
        }
        let text = String(decoding: bytes.prefix(count ?? 0), as: UTF8.self)
        // The second field is a name in parentheses that may have spaces.
        let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
        return fields.count > 19 ? UInt64(fields[19]) : nil
    }
}
