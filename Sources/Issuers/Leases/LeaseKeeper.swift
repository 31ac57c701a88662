import Dispatch
import Glibc
import State

/// Holds a lease and renews it until the call of `release`.
package final class LeaseKeeper: Sendable {
    package let holder: LeaseHolder
    private let name: Lease.Name
    private let store: any StateStore
    // Sharing the timer is sound: all operations of a dispatch source are thread-safe, and the property never changes.
    private nonisolated(unsafe) let timer: any DispatchSourceTimer

    /// Another process holds the lease.
    package struct Held: Error {
        package let lease: Lease
    }

    /// Takes the lease.
    ///
    /// - Throws: `Held` if another process holds the lease, or `StateError` if the state can't be written.
    package init(_ name: Lease.Name, in store: any StateStore) throws {
        let holder = LeaseHolder.current()
        let attempt = try store.acquireLease(name, for: holder, now: Self.now) { lease in
            lease.isFree(at: Self.now, in: holder.scope, isAlive: LeaseHolder.isAlive)
        }
        if case .held(let lease) = attempt { throw Held(lease: lease) }
        self.holder = holder
        self.name = name
        self.store = store
        // The timer has its own queue, so other work can't delay a renewal.
        let timer = DispatchSource.makeTimerSource(queue: DispatchQueue(label: "aegis lease"))
        let period = DispatchTimeInterval.seconds(Int(Lease.renewalSeconds))
        timer.schedule(deadline: .now() + period, repeating: period)
        // A failed renewal needs no handling here, since each commit checks the lease.
        timer.setEventHandler { try? store.renewLease(name, of: holder, now: Self.now) }
        unsafe self.timer = timer
        timer.activate()
    }

    /// Stops renewing the lease. The lease then ends with a commit that ends it, or when it expires.
    package func stopRenewing() { unsafe timer.cancel() }

    package func release() {
        stopRenewing()
        try? store.releaseLease(name, of: holder)
    }

    private static var now: Int64 { Int64(time(nil)) }
}
