import Issuers
import State

extension LeaseKeeper {
    /// Takes the lock for applying. While an apply has the lock, this waits until `deadline`, and then returns nil.
    package static func forApplying(
        in store: any StateStore, until deadline: ContinuousClock.Instant
    ) throws -> LeaseKeeper? {
        while true {
            do {
                return try LeaseKeeper(.apply, in: store)
            } catch is Held {
                guard ContinuousClock.now < deadline else { return nil }
                Pause.wait(.milliseconds(50))
            }
        }
    }
}

package enum ServedRevision {
    private static let patience = Duration.seconds(5)

    /// Waits until the gateway with the process ID `process` reports in the state that it serves a revision, for at most
    /// `patience`. Returns at once if the state lists no such gateway.
    package static func wait(for revision: Int, in store: any StateStore, process: Int) {
        let deadline = ContinuousClock.now.advanced(by: patience)
        while ContinuousClock.now < deadline {
            // A gateway that died may have had the same process ID, as in containers.
            let node = try? store.nodes().filter { $0.process == process }.max { $0.heartbeatAt < $1.heartbeatAt }
            guard let node, node.position.revision < revision else { return }
            Pause.wait(.milliseconds(5))
        }
    }
}
