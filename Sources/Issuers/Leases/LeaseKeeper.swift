import Dispatch
import Glibc
import State

/// Holds a lease from when it is made to `release`, renewing it meanwhile.
package final class LeaseKeeper: Sendable {
    /// Who holds it: this process.
    package let holder: LeaseHolder
    private let name: Lease.Name
    private let store: any StateStore
    // Sound to share: a dispatch source's own operations are thread-safe, and it is never replaced.
    private nonisolated(unsafe) let timer: any DispatchSourceTimer

    /// Why a lease can't be taken.
    package struct Held: Error {
        /// Who has it, and since when.
        package let lease: Lease
    }

    /// Takes the lease.
    ///
    /// - Throws: `Held` with who has it; `StateError` when the state can't be written.
    package init(_ name: Lease.Name, in store: any StateStore) throws {
        let holder = LeaseHolder.current()
        let attempt = try store.acquireLease(name, for: holder, now: Self.now) { lease in
            lease.isFree(at: Self.now, in: holder.scope, isAlive: LeaseHolder.isAlive)
        }
        if case .held(let lease) = attempt { throw Held(lease: lease) }
        self.holder = holder
        self.name = name
        self.store = store
        // With a queue of its own, since no work may keep it from renewing.
        let timer = DispatchSource.makeTimerSource(queue: DispatchQueue(label: "aegis lease"))
        let period = DispatchTimeInterval.seconds(Int(Lease.renewalSeconds))
        timer.schedule(deadline: .now() + period, repeating: period)
        // A renewal that fails shows at the next commit, which checks the lease itself.
        timer.setEventHandler { try? store.renewLease(name, of: holder, now: Self.now) }
        unsafe self.timer = timer
        timer.activate()
    }

    /// Stops renewing, and leaves the lease to whoever ends it: a commit, or time.
    package func stopRenewing() { unsafe timer.cancel() }

    /// Gives the lease back.
    package func release() {
        stopRenewing()
        try? store.releaseLease(name, of: holder)
    }

    private static var now: Int64 { Int64(time(nil)) }
}
