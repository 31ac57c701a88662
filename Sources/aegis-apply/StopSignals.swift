import Dispatch
import Glibc
import Reconciler
import State
import Synchronization

/// Turns SIGINT, SIGTERM and SIGHUP into a request to stop while work is under way. Before that, and from the second
/// signal on, a signal ends the program at once, as it does by default.
final class StopSignals: Sendable {
    private struct State {
        var isUnderWay = false
        var received: Int32?
        /// The text to print when a signal ends the program at once.
        var lastWords: String?
    }

    /// The request that the first signal makes while work is under way.
    let request = StopRequest { Terminal.complain("aegis-apply: \($0); another signal ends it at once\n") }
    private let state = Mutex(State())

    /// Starts to wait for signals. Must be called before any thread starts, since threads inherit the blocked signals.
    /// `lastWords` is the text to print when a signal ends the program before its work begins; nil for no text.
    init(lastWords: String? = nil) {
        setLastWords(lastWords)
        // Signals that the parent has ignored, as `nohup` does, stay ignored.
        let numbers = [SIGINT, SIGTERM, SIGHUP].filter { !Self.isIgnored($0) }
        guard !numbers.isEmpty else { return }
        Self.change(SIG_BLOCK, numbers)
        DispatchQueue(label: "aegis signals").async { [self] in
            while let number = Self.wait(for: numbers) { handle(number) }
        }
    }

    /// From now on, the first signal requests a stop instead of ending the program, and a later one has no last words.
    func beginWork() {
        state.withLock { state in
            state.isUnderWay = true
            state.lastWords = nil
        }
    }

    /// Sets the text to print when a signal ends the program at once; nil for no text.
    func setLastWords(_ words: String?) { state.withLock { $0.lastWords = words } }

    private static let namedItems = 10

    /// If a signal has arrived, prints the signal and the items in `left`; `what` is their state, such as "not in
    /// force". Then ends the program by the same signal, since a shell script would otherwise continue with its next
    /// command.
    func endIfReceived(_ what: String, _ left: [ItemID], _ close: () -> Void = {}) {
        guard let number = state.withLock({ $0.received }) else { return }
        if !left.isEmpty {
            let named = left.prefix(Self.namedItems).map { "\($0.kind.rawValue) \($0.name)" }
            let others = left.count - named.count
            Terminal.complain(
                "aegis-apply: stopped by \(Self.name(number)); \(what): \(named.joined(separator: ", "))"
                    + (others > 0 ? " and \(others) more" : "")
                    + "\nhint: run it again: items in force stay, and orders that the CA has confirmed are resumed\n")
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
            "aegis-apply: \(Self.name(number)): ends after the work in progress; a second signal ends it at once\n")
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
        // This is safe, since the call fills `action`. Its handler is a function's address or a number: 1 is SIG_IGN
        // (signal(2)).
        guard unsafe sigaction(number, nil, &action) == 0 else { return false }
        return unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
    }

    private static func set(of numbers: [Int32]) -> sigset_t {
        var set = sigset_t()
        // This is safe, since both calls write only into `set`.
        unsafe sigemptyset(&set)
        for number in numbers { unsafe sigaddset(&set, number) }
        return set
    }

    private static func change(_ how: Int32, _ numbers: [Int32]) {
        var set = set(of: numbers)
        // This is safe, since the call reads `set` only while it runs.
        unsafe pthread_sigmask(how, &set, nil)
    }

    private static func wait(for numbers: [Int32]) -> Int32? {
        var set = set(of: numbers)
        var number: Int32 = 0
        // This is safe, since the call uses `set` and `number` only while it runs.
        return unsafe sigwait(&set, &number) == 0 ? number : nil
    }

    private static func end(by number: Int32) -> Never {
        change(SIG_UNBLOCK, [number])
        raise(number)
        // Not reached: the default action of each of these signals ends the process.
        exit(128 + number)
    }
}
