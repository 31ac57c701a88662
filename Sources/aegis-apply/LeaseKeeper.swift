import Dispatch
import State

/// Holds the lock for applying from when it is made to `release`, renewing it meanwhile.
final class LeaseKeeper: Sendable {
    let holder: LeaseHolder
    private let store: any StateStore
    // Sound to share: a dispatch source's own operations are thread-safe, and it is never replaced.
    private nonisolated(unsafe) let timer: any DispatchSourceTimer

    /// Takes the lock; fails with who has it since when.
    init(_ store: any StateStore) throws {
        let holder = LeaseHolder.current()
        let now = currentTime()
        let attempt = try store.acquireLease(.apply, for: holder, now: now) { lease in
            lease.isFree(at: now, in: holder.scope, isAlive: LeaseHolder.isAlive)
        }
        if case .held(let lease) = attempt {
            let other = lease.holder
            throw CommandFailure(
                message:
                    "another apply is running: \(other.user) on \(other.machine), process \(other.process),"
                    + " since \(UTCTime.text(lease.since))",
                hint: "wait for it, or stop it; a lock that is not renewed ends by itself after \(Lease.seconds) s",
                status: ExitStatus.locked)
        }
        self.holder = holder
        self.store = store
        // With a queue of its own, since no work may keep it from renewing.
        let timer = DispatchSource.makeTimerSource(queue: DispatchQueue(label: "aegis lease"))
        let period = DispatchTimeInterval.seconds(Int(Lease.renewalSeconds))
        timer.schedule(deadline: .now() + period, repeating: period)
        // A renewal that fails shows at the next commit, which checks the lease itself.
        timer.setEventHandler { try? store.renewLease(.apply, of: holder, now: currentTime()) }
        unsafe self.timer = timer
        timer.activate()
    }

    /// Gives the lock back.
    func release() {
        unsafe timer.cancel()
        try? store.releaseLease(.apply, of: holder)
    }
}
