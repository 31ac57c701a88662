import Dispatch
import Issuers
import Synchronization
import SystemPackage

/// Continues the answers of the admin API that have an `AdminStream`. One thread asks the service for the next parts of
/// all streams when the state may have changed, so a client costs no thread.
final class AdminStreams: Sendable {
    /// The most streams at a time.
    static let most = 32
    /// After this time without a part, a stream sends a line that clients ignore. If the client is gone, sending the
    /// line fails, and the stream ends.
    private static let silence = Duration.seconds(15)
    /// A comment, in the format of server-sent events.
    private static let filler = Array(":\n\n".utf8)

    private struct Open: Sendable {
        let exchange: SlotID
        let stream: any AdminStream
        let deliver: @Sendable (AdminStreamPart) -> Void
        var lastPart = ContinuousClock.now
    }

    private let service: any AdminService
    private let statePath: String
    private let open = Mutex<[Open]>([])
    /// Signalled once for each stream that begins. The thread waits for this signal while there are no streams.
    private let begun = DispatchSemaphore(value: 0)

    init(_ service: any AdminService, statePath: String) {
        self.service = service
        self.statePath = statePath
        NamedThread("admin-streams") { [self] in run() }.start()
    }

    /// Starts to ask the service for the parts of a stream. `deliver` is called with each part, on another thread.
    func begin(
        _ stream: any AdminStream, of exchange: SlotID, deliver: @escaping @Sendable (AdminStreamPart) -> Void
    ) {
        open.withLock { $0.append(Open(exchange: exchange, stream: stream, deliver: deliver)) }
        begun.signal()
    }

    /// Forgets the stream of an exchange that has ended.
    func end(_ exchange: SlotID) { open.withLock { $0.removeAll { $0.exchange == exchange } } }

    private func run() {
        while true {
            begun.wait()
            followState()
        }
    }

    /// Continues all streams after each change of the state, until there are none.
    ///
    /// Not inlined: in a release build the compiler takes many minutes for this loop within the endless one of `run`.
    @inline(never)
    private func followState() {
        // Without a descriptor for the watch, the state is read each second.
        let watcher = try? StateWatcher(path: FilePath(statePath))
        while continueAll() {
            if watcher?.wait() == nil { Pause.wait(StateWatcher.slowPoll) }
        }
    }

    /// Returns false when there are no streams.
    private func continueAll() -> Bool {
        let streams = open.withLock { $0 }
        guard !streams.isEmpty else { return false }
        let parts = service.parts(of: streams.map(\.stream))
        let now = ContinuousClock.now
        for (stream, part) in zip(streams, parts) {
            switch part {
            case .end:
                end(stream.exchange)
                stream.deliver(.end)
            case .bytes(let bytes):
                guard !bytes.isEmpty || stream.lastPart.advanced(by: Self.silence) <= now else { continue }
                open.withLock { open in
                    for index in open.indices where open[index].exchange == stream.exchange {
                        open[index].lastPart = now
                    }
                }
                stream.deliver(.bytes(bytes.isEmpty ? Self.filler : bytes))
            }
        }
        return true
    }
}
