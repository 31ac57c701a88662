import Issuers
import Reconciler
import State
import SystemPackage

/// Tells how an apply goes on: a line for each certificate and failure, and every few seconds what is still waited for. On a
/// terminal that is a live line below them for each certificate, in place of lines that stay.
final class ProgressReport {
    /// Live lines are cut here: one that wraps could not be taken away again.
    private static let maxWidth = 79
    /// How many of those that are waited for are named in a line.
    private static let maxNames = 3

    private struct Running {
        let item: ItemID
        let action: Action
        let place: String
        let since: ContinuousClock.Instant
    }

    private let isTerminal = Terminal.wantsColour(.standardError)
    private let total: Int
    private var count = 0
    private var running: [Running] = []
    /// How many live lines stand on the terminal.
    private var shownLines = 0

    init(total: Int) { self.total = total }

    func tell(_ progress: ApplyProgress) {
        switch progress {
        case .started(let item, let action, let place):
            running.append(Running(item: item, action: action, place: place, since: .now))
            if isTerminal { show([]) }
        case .stillWaiting(let queued): show(isTerminal ? [] : waiting(queued))
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

    /// Notes that an item is waited for no longer.
    func end(_ item: ItemID) {
        count += 1
        running.removeAll { $0.item == item }
    }

    /// What is waited for, the longest first, in one line.
    private func waiting(_ queued: Int) -> [String] {
        guard !running.isEmpty else { return [] }
        let named = running.prefix(Self.maxNames).map { running in
            "\(name(running.item)) (\(running.place.isEmpty ? "" : "\(running.place), ")\(seconds(running)) s)"
        }
        let others = running.count - named.count + queued
        return ["  still waiting for " + named.joined(separator: ", ") + (others > 0 ? " and \(others) more" : "")]
    }

    private func seconds(_ running: Running) -> Int64 { (ContinuousClock.now - running.since).components.seconds }

    private func liveLine(_ running: Running) -> String {
        let seconds = seconds(running)
        let time = seconds < 1 ? "" : " \(seconds) s"
        let place = running.place.isEmpty ? "" : " (\(running.place))"
        let line = "  (\(count)/\(total)) \(name(running.item)): \(running.action.rawValue) …\(time)\(place)"
        return String(line.prefix(Self.maxWidth))
    }

    /// Prints lines that stay where the live ones stood, and these below anew, all in one write.
    private func show(_ lines: [String]) {
        let live = isTerminal ? running.map(liveLine) : []
        let erase = shownLines > 0 ? "\r\u{1B}[\(shownLines)A\u{1B}[J" : ""
        shownLines = live.count
        let text = erase + (lines + live).map { $0 + "\n" }.joined()
        if !text.isEmpty { Terminal.complain(text) }
    }

    private func name(_ item: ItemID) -> String { "\(item.kind.rawValue) \(item.name)" }
}
