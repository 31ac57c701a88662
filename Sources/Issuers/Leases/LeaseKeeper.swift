import Dispatch
import Glibc
import State

/// Holds a lease until `release`, and renews it meanwhile.
package final class LeaseKeeper: Sendable {
    /// This process, as the lease's holder.
    package let holder: LeaseHolder
    private let name: Lease.Name
    private let store: any StateStore
    // Sound to share: a dispatch source's operations are thread-safe, and it is never replaced.
    private nonisolated(unsafe) let timer: any DispatchSourceTimer

    /// Another process holds the lease.
    package struct Held: Error {
        /// The lease with its holder and its begin.
        package let lease: Lease
    }

    /// Takes the lease.
    ///
    /// - Throws: `Held` when another process has it; `StateError` when the state can't be written.
    package init(_ name: Lease.Name, in store: any StateStore) throws {
        let holder = LeaseHolder.current()
        let attempt = try store.acquireLease(name, for: holder, now: Self.now) { lease in
            lease.isFree(at: Self.now, in: holder.scope, isAlive: LeaseHolder.isAlive)
        }
        if case .held(let lease) = attempt { throw Held(lease: lease) }
        self.holder = holder
        self.name = name
        self.store = store
        // The timer has its own queue, so that no other work delays a renewal.
        let timer = DispatchSource.makeTimerSource(queue: DispatchQueue(label: "aegis lease"))
        let period = DispatchTimeInterval.seconds(Int(Lease.renewalSeconds))
        timer.schedule(deadline: .now() + period, repeating: period)
        // The next commit notices a failed renewal, since it checks the lease itself.
        timer.setEventHandler { try? store.renewLease(name, of: holder, now: Self.now) }
        unsafe self.timer = timer
        timer.activate()
    }

    /// Stops renewing. The lease ends with a commit that ends it, or when it expires.
    package func stopRenewing() { unsafe timer.cancel() }

    package func release() {
        stopRenewing()
        try? store.releaseLease(name, of: holder)
    }

    private static var now: Int64 { Int64(time(nil)) }
}
