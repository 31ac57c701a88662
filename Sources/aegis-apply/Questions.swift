import ConfigModel
import Glibc

/// Asks at a terminal for what options leave out; elsewhere the option is asked for.
struct Questions {
    /// Whether somebody can answer.
    private let isAsking = isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1

    /// The option's value, or the answer to a question, which is asked again until `check` takes it. Without a terminal what is
    /// left out is `standard`. `check` gives the value as it is written in the file.
    func answer(
        _ given: String?, _ option: String, _ question: String, standard: String? = nil,
        check: (String) throws(ValueFault) -> String = { $0 }
    ) throws -> String {
        if let given { return try checked(given, option, check) }
        guard isAsking else {
            if let standard { return try checked(standard, option, check) }
            throw CommandFailure(
                message: "\(option) is missing, and there is no terminal to ask at",
                hint: "see 'aegis-apply init --help'", status: .validationFailure)
        }
        while true {
            Terminal.complain(question + (standard.map { " [\($0)]" } ?? "") + ": ")
            guard let line = readLine() else { throw CommandFailure(message: "nothing was written") }
            let words = line.drop { $0 == " " || $0 == "\t" }
            let text = String(words.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
            guard let answer = text.isEmpty ? standard : text else { continue }
            do {
                return try check(answer)
            } catch {
                Terminal.complain(error.message + "\n" + (error.hint.map { "hint: \($0)\n" } ?? ""))
            }
        }
    }

    private func checked(
        _ value: String, _ option: String, _ check: (String) throws(ValueFault) -> String
    ) throws -> String {
        do {
            return try check(value)
        } catch {
            throw CommandFailure(
                message: "\(option): \(error.message)", hint: error.hint, status: ExitStatus.invalidFile)
        }
    }
}
