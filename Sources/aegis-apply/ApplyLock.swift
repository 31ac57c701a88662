import Issuers
import Operations
import State

extension LeaseKeeper {
    /// How long to wait for the lock, which a change of the admin API holds for a moment.
    private static let patience = Duration.seconds(3)

    /// Takes the lock for applying. Throws a CommandFailure that names the holder and says since when it has the lock.
    static func forApplying(_ store: any StateStore) throws -> LeaseKeeper {
        if let keeper = try forApplying(in: store, until: .now + patience) { return keeper }
        do {
            return try LeaseKeeper(.apply, in: store)
        } catch let held as Held {
            let other = held.lease.holder
            throw CommandFailure(
                message:
                    "another apply is running: \(other.user) on \(other.machine), process \(other.process),"
                    + " since \(UTCTime.text(held.lease.since))",
                hint: "wait for it, or stop it; a lock that is not renewed ends by itself after \(Lease.seconds) s",
                status: ExitStatus.locked)
        }
    }
}
