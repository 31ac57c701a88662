import ArgumentParser
import ConfigModel
import Glibc
import Operations
import PKI
import Reconciler
import SQLiteState
import State
import SystemPackage

/// A failure that ends the command with a message, a hint and an exit code.
struct CommandFailure: Error {
    let message: String
    var hint: String?
    var status = ExitCode.failure

    /// Prints the failure and returns the exit code for the caller to throw.
    func report() -> ExitCode {
        Terminal.complain("aegis-apply: \(message)", hint: hint)
        return status
    }
}

/// Runs a command's work. If the work throws, prints the error and throws the exit code instead.
func reporting<Value>(_ work: () throws -> Value) throws -> Value {
    do {
        return try work()
    } catch let failure as CommandFailure {
        throw failure.report()
    } catch let failure as OperationFailure {
        throw CommandFailure(message: failure.message, hint: failure.hint).report()
    } catch let error as StateError where error.isBusy {
        throw CommandFailure(message: "\(error)", hint: error.hint, status: ExitStatus.locked).report()
    } catch StateError.leaseLost {
        throw CommandFailure(message: "another process has the lock now", status: ExitStatus.locked)
            .report()
    } catch let error as StateError {
        throw CommandFailure(message: "\(error)", hint: error.hint).report()
    } catch let error as RekeyError {
        throw CommandFailure(message: "\(error)").report()
    }
}

extension StateError {
    fileprivate var isBusy: Bool { if case .busy = self { true } else { false } }
}

extension String {
    /// The text with `?` in place of control characters, which could drive a terminal or break a line.
    var printable: String {
        String(String.UnicodeScalarView(unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : $0 }))
    }
}

/// The time in seconds since 1970.
func currentTime() -> Int64 { Int64(time(nil)) }

/// The options by which a command finds the state.
struct StateOptions: ParsableArguments {
    @Option(help: "The configuration that names the state.", completion: .file(extensions: ["yaml", "yml"]))
    var config = "aegis.yaml"

    @Option(help: "The state's file, instead of a configuration.", completion: .file())
    var state: String?

    /// The configuration; nil when `--state` names the state.
    func configuration() throws -> (file: ConfigurationFile, configuration: Configuration)? {
        guard state == nil else { return nil }
        let file = try ConfigurationFile.read(config)
        do {
            return (file, try file.validated(.text))
        } catch {
            Terminal.complain("hint: --state PATH finds the state without the file\n")
            throw error
        }
    }

    /// The path that `--state` gives, else the path in the configuration.
    func path(_ known: (file: ConfigurationFile, configuration: Configuration)?) -> String {
        state ?? known.map { $0.file.resolve($0.configuration.statePath).string } ?? ""
    }

    /// Opens the state for reading. Throws a CommandFailure when there is none.
    func openForReading() throws -> SQLiteStateStore { try openForReading(configuration()) }

    /// Opens an existing state for a change that needs no lock. Throws a CommandFailure when there is none.
    func openForWriting() throws -> SQLiteStateStore {
        let path = try path(configuration())
        guard let store = try SQLiteStateStore(following: path) else {
            throw CommandFailure(message: "there is no state '\(path)' yet", hint: "aegis-apply makes it")
        }
        return store
    }

    /// Opens the state for reading, with a configuration that was read already.
    func openForReading(_ known: (file: ConfigurationFile, configuration: Configuration)?) throws -> SQLiteStateStore {
        let path = path(known)
        guard let store = try SQLiteStateStore(readingFrom: path) else {
            throw CommandFailure(message: "there is no state '\(path)' yet", hint: "aegis-apply makes it")
        }
        return store
    }
}
