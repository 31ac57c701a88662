import Dispatch
import Glibc
import Reconciler
import State
import Synchronization

/// Turns the signals by which people and systems end a program into a request to stop, once something is under way. Before that,
/// and when a second one comes, they end the program at once as they do by themselves.
final class StopSignals: Sendable {
    private struct State {
        var isUnderWay = false
        var received: Int32?
        /// What is said when a signal ends the program at once.
        var lastWords: String?
    }

    /// Made by the first signal that comes while something is under way.
    let request = StopRequest()
    private let state = Mutex(State())

    /// Begins to wait for signals. To be made before any other thread, since threads inherit what is held back.
    init() {
        // Those that whoever has started the program has it ignore, as `nohup` does, stay ignored.
        let numbers = [SIGINT, SIGTERM, SIGHUP].filter { !Self.isIgnored($0) }
        guard !numbers.isEmpty else { return }
        Self.change(SIG_BLOCK, numbers)
        DispatchQueue(label: "aegis signals").async { [self] in
            while let number = Self.wait(for: numbers) { handle(number) }
        }
    }

    /// Has the next signal be a request.
    func beginWork() { state.withLock { $0.isUnderWay = true } }

    /// Has a signal that ends the program at once say what is not known then; nil for nothing.
    func setLastWords(_ words: String?) { state.withLock { $0.lastWords = words } }

    /// How many of the items that are left are named.
    private static let namedItems = 10

    /// Ends the program by the signal that has come, if one has, and tells `what` is the matter with the items left. A shell that runs a script goes on
    /// with it only after a program that has ended by itself, and not by a signal.
    func endIfReceived(_ what: String, _ left: [ItemID], _ close: () -> Void = {}) {
        guard let number = state.withLock({ $0.received }) else { return }
        if !left.isEmpty {
            let named = left.prefix(Self.namedItems).map { "\($0.kind.rawValue) \($0.name)" }
            let others = left.count - named.count
            Terminal.complain(
                "aegis-apply: stopped by \(Self.name(number)); \(what): \(named.joined(separator: ", "))"
                    + (others > 0 ? " and \(others) more" : "")
                    + "\nhint: run it again: what is in force stays, and orders that were begun are resumed\n")
        }
        close()
        Self.end(by: number)
    }

    private func handle(_ number: Int32) {
        let isRequest = state.withLock { state in
            guard state.isUnderWay, state.received == nil else { return false }
            state.received = number
            return true
        }
        guard isRequest else {
            if let words = state.withLock({ $0.lastWords }) {
                Terminal.complain("aegis-apply: stopped by \(Self.name(number)); \(words)\n")
            }
            Self.end(by: number)
        }
        Terminal.complain(
            "aegis-apply: \(Self.name(number)): ends with what is under way; another one ends it at once\n")
        request.make()
    }

    private static func name(_ number: Int32) -> String {
        switch number {
        case SIGINT: "SIGINT"
        case SIGTERM: "SIGTERM"
        default: "SIGHUP"
        }
    }

    private static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        // The call writes the structure, whose handler is a number where it is no function (signal-safety(7)).
        guard unsafe sigaction(number, nil, &action) == 0 else { return false }
        return unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
    }

    private static func set(of numbers: [Int32]) -> sigset_t {
        var set = sigset_t()
        // Both write into the set alone.
        unsafe sigemptyset(&set)
        for number in numbers { unsafe sigaddset(&set, number) }
        return set
    }

    private static func change(_ how: Int32, _ numbers: [Int32]) {
        var set = set(of: numbers)
        // The set is lent to the call alone.
        unsafe pthread_sigmask(how, &set, nil)
    }

    private static func wait(for numbers: [Int32]) -> Int32? {
        var set = set(of: numbers)
        var number: Int32 = 0
        // Both are lent to the call alone.
        return unsafe sigwait(&set, &number) == 0 ? number : nil
    }

    private static func end(by number: Int32) -> Never {
        change(SIG_UNBLOCK, [number])
        raise(number)
        // Not reached: that is the default for each of them.
        exit(128 + number)
    }
}
