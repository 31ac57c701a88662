import Issuers
import Reconciler
import State
import SystemPackage

/// Prints how an apply proceeds: a line for each certificate and each failure, and every few seconds the names of the
/// items under way. On a terminal, live lines at the bottom show these items instead, one item in each line.
final class ProgressReport {
    /// The most columns of a live line. Longer lines are cut, since a line that wraps could not be erased.
    private static let maxWidth = 79
    /// The most items under way that a line names.
    private static let maxNames = 3

    private struct Running {
        let item: ItemID
        let action: Action
        let place: String
        let since: ContinuousClock.Instant
        /// What the item waits for, as it was last reported; nil if that is not known.
        var wait: String?
    }

    private let isTerminal = Terminal.wantsColour(.standardError)
    private let total: Int
    private var count = 0
    private var running: [Running] = []
    /// How many live lines the terminal shows now.
    private var shownLines = 0

    init(total: Int) { self.total = total }

    func tell(_ progress: ApplyProgress) {
        switch progress {
        case .started(let item, let action, let place):
            running.append(Running(item: item, action: action, place: place, since: .now))
            if isTerminal { show([]) }
        case .stillWaiting(let queued, let waits):
            for index in running.indices { running[index].wait = waits[running[index].item] }
            show(isTerminal ? [] : waiting(queued))
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

    /// Erases the live lines.
    func finish() {
        running = []
        show([])
    }

    /// Notes that an item is no longer under way.
    func end(_ item: ItemID) {
        count += 1
        running.removeAll { $0.item == item }
    }

    /// A line that names the items under way. The items that have taken longest come first.
    private func waiting(_ queued: Int) -> [String] {
        guard !running.isEmpty else { return [] }
        let named = running.prefix(Self.maxNames).map { running in
            let place = running.place.isEmpty ? "" : "\(running.place), "
            let wait = running.wait.map { ": \($0)" } ?? ""
            return "\(name(running.item)) (\(place)\(seconds(running)) s\(wait))"
        }
        let others = running.count - named.count + queued
        return ["  still waiting for " + named.joined(separator: ", ") + (others > 0 ? " and \(others) more" : "")]
    }

    private func seconds(_ running: Running) -> Int64 { running.since.secondsPassed }

    private func liveLine(_ running: Running) -> String {
        let seconds = seconds(running)
        let time = seconds < 1 ? "" : " \(seconds) s"
        let reason = running.wait ?? running.place
        let suffix = reason.isEmpty ? "" : " (\(reason))"
        let line = "  (\(count)/\(total)) \(name(running.item)): \(running.action.rawValue) …\(time)\(suffix)"
        return String(line.prefix(Self.maxWidth))
    }

    /// Prints permanent lines in place of the live lines, and the live lines again below them, in one write.
    private func show(_ lines: [String]) {
        let live = isTerminal ? running.map(liveLine) : []
        let erase = shownLines > 0 ? "\r\u{1B}[\(shownLines)A\u{1B}[J" : ""
        shownLines = live.count
        let text = erase + (lines + live).map { $0 + "\n" }.joined()
        if !text.isEmpty { Terminal.complain(text) }
    }

    private func name(_ item: ItemID) -> String { "\(item.kind.rawValue) \(item.name)" }
}
