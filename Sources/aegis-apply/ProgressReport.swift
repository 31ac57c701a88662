import Issuers
import Reconciler
import State
import SystemPackage

/// Tells how an apply goes on: a line for each certificate and failure, and on a terminal a live line below them for each
/// certificate that is being had.
final class ProgressReport {
    /// Live lines are cut here: one that wraps could not be taken away again.
    private static let maxWidth = 79

    private let isTerminal = Terminal.wantsColour(.standardError)
    private let total: Int
    private var count = 0
    private var running: [(item: ItemID, text: String)] = []
    /// How many live lines stand on the terminal.
    private var shownLines = 0

    init(total: Int) { self.total = total }

    func tell(_ progress: ApplyProgress) {
        switch progress {
        case .started(let item, let action):
            guard isTerminal else { return }
            running.append((item, "\(name(item)): \(action.rawValue) …"))
            show([])
        case .finished(let item, let action):
            end(item)
            if item.kind == .certificate || item.kind == .edgeCertificate { show(["  \(name(item)): \(action.past)"]) }
        case .failed(let item, let action, let failure):
            end(item)
            let hint = failure.hint.map { ["  hint: \($0)"] } ?? []
            show(["  \(name(item)): \(action.rawValue) failed: \(failure.reason)"] + hint)
        case .warning(let item, let text):
            show(["  warning: \(name(item)) \(text)"])
        }
    }

    /// Takes the live lines away.
    func finish() {
        running = []
        show([])
    }

    private func end(_ item: ItemID) {
        count += 1
        running.removeAll { $0.item == item }
    }

    /// Prints lines that stay where the live ones stood, and these below anew, all in one write.
    private func show(_ lines: [String]) {
        let live = running.map { String("  (\(count)/\(total)) \($0.text)".prefix(Self.maxWidth)) }
        let erase = shownLines > 0 ? "\r\u{1B}[\(shownLines)A\u{1B}[J" : ""
        shownLines = live.count
        let text = erase + (lines + live).map { $0 + "\n" }.joined()
        if !text.isEmpty { Terminal.complain(text) }
    }

    private func name(_ item: ItemID) -> String { "\(item.kind.rawValue) \(item.name)" }
}
