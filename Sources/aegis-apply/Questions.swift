import ConfigModel
import Glibc

/// Asks at a terminal for the options that are left out. Without a terminal, a missing option without a default ends
/// the command.
struct Questions {
    /// Whether the standard input and error are a terminal.
    private let isAsking = isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1

    /// Returns an option's value. If the option is left out, asks the question until `read` accepts the answer. Without
    /// a terminal, uses `standard` instead. `read` checks a text and converts it.
    func answer<Value>(
        _ given: String?, _ option: String, _ question: String, standard: String? = nil,
        read: (String) throws(ValueFault) -> Value
    ) throws -> Value {
        guard given == nil, isAsking else {
            guard let text = given ?? standard else {
                throw CommandFailure(
                    message: "\(option) is missing, and there is no terminal to ask at",
                    hint: "see 'aegis-apply init --help'", status: .validationFailure)
            }
            do {
                return try read(text)
            } catch {
                throw CommandFailure(
                    message: "\(option): \(error.message)", hint: error.hint, status: ExitStatus.invalidFile)
            }
        }
        while true {
            Terminal.complain(question + (standard.map { " [\($0)]" } ?? "") + ": ")
            guard let line = readLine() else { throw CommandFailure(message: "nothing was written") }
            let text = String(line[...].trimmingBlanks)
            guard let answer = text.isEmpty ? standard : text else { continue }
            do {
                return try read(answer)
            } catch {
                Terminal.complain(error.message, hint: error.hint)
            }
        }
    }
}
