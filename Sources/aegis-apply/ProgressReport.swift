import Issuers
import Reconciler
import State
import SystemPackage

/// Tells how an apply goes on: a line for each certificate and failure, and on a terminal one live line for what runs.
final class ProgressReport {
    private let isTerminal = Terminal.wantsColour(.standardError)
    private let total: Int
    private var count = 0

    init(total: Int) { self.total = total }

    func tell(_ progress: ApplyProgress) {
        switch progress {
        case .started(let item, let action):
            if isTerminal { Terminal.complain("\r\u{1B}[K  \(name(item)): \(action.rawValue) … (\(count)/\(total))") }
        case .finished(let item, let action):
            count += 1
            if item.kind == .certificate { line("  \(name(item)): \(action.past)") }
        case .failed(let item, let action, let failure):
            count += 1
            line("  \(name(item)): \(action.rawValue) failed: \(failure.reason)")
            if let hint = failure.hint { line("  hint: \(hint)") }
        case .warning(let item, let text):
            line("  warning: \(name(item)) \(text)")
        }
    }

    /// Takes the live line away.
    func finish() {
        if isTerminal { Terminal.complain("\r\u{1B}[K") }
    }

    private func line(_ text: String) { Terminal.complain((isTerminal ? "\r\u{1B}[K" : "") + text + "\n") }

    private func name(_ item: ItemID) -> String { "\(item.kind.rawValue) \(item.name)" }
}
