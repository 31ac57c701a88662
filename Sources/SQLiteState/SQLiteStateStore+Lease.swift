import GRDB
import State

extension SQLiteStateStore {
    private static let name = "apply"

    /// Takes the lease for applying when it is free.
    public func acquireLease(
        for holder: LeaseHolder, now: Int64, isFree: @Sendable (Lease) -> Bool
    ) throws(StateError) -> LeaseAttempt {
        try write { database in
            if let lease = try lease(in: database), lease.holder != holder, !isFree(lease) { return .held(lease) }
            try execute(
                database, "INSERT OR REPLACE INTO leases (name, holder, since, expires_at) VALUES (?, ?, ?, ?)",
                [Self.name, holder.text, now, now + Lease.seconds])
            return .acquired
        }
    }

    /// Holds the lease for longer.
    public func renewLease(of holder: LeaseHolder, now: Int64) throws(StateError) {
        try write { database in
            try checkLease(of: holder, in: database)
            try execute(
                database, "UPDATE leases SET expires_at = ? WHERE name = ?", [now + Lease.seconds, Self.name])
        }
    }

    /// Gives the lease back.
    public func releaseLease(of holder: LeaseHolder) throws(StateError) {
        try write { database in
            try execute(database, "DELETE FROM leases WHERE name = ? AND holder = ?", [Self.name, holder.text])
        }
    }

    /// Whoever writes must still hold the lease: an apply that was asleep while another took over must not go on.
    func checkLease(of holder: LeaseHolder, in database: Database) throws {
        guard try lease(in: database)?.holder == holder else { throw StateError.leaseLost }
    }

    private func lease(in database: Database) throws -> Lease? {
        let sql = "SELECT holder, since, expires_at FROM leases WHERE name = ?"
        guard let row = try Row.fetchOne(database, sql: sql, arguments: [Self.name]),
            let holder = LeaseHolder(text: row["holder"])
        else { return nil }
        return Lease(holder: holder, since: row["since"], expiresAt: row["expires_at"])
    }
}
