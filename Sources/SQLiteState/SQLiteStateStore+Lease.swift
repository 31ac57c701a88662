import GRDB
import State

extension SQLiteStateStore {
    package func acquireLease(
        _ name: Lease.Name, for holder: LeaseHolder, now: Int64, isFree: @Sendable (Lease) -> Bool
    ) throws(StateError) -> LeaseAttempt {
        try write { database in
            if let lease = try lease(name, in: database), lease.holder != holder, !isFree(lease) { return .held(lease) }
            try execute(
                database, "INSERT OR REPLACE INTO leases (name, holder, since, expires_at) VALUES (?, ?, ?, ?)",
                [name.text, holder.text, now, now + Lease.seconds])
            return .acquired
        }
    }

    package func renewLease(_ name: Lease.Name, of holder: LeaseHolder, now: Int64) throws(StateError) {
        try write { database in
            try checkLease(name, of: holder, in: database)
            try execute(
                database, "UPDATE leases SET expires_at = ? WHERE name = ?", [now + Lease.seconds, name.text])
        }
    }

    package func releaseLease(_ name: Lease.Name, of holder: LeaseHolder) throws(StateError) {
        try write { database in
            try execute(database, "DELETE FROM leases WHERE name = ? AND holder = ?", [name.text, holder.text])
        }
    }

    /// Throws unless the writing process still holds the lease: an apply that was suspended while another apply took
    /// the lease must not continue.
    func checkLease(_ name: Lease.Name, of holder: LeaseHolder, in database: Database) throws {
        guard try lease(name, in: database)?.holder == holder else { throw StateError.leaseLost }
    }

    private func lease(_ name: Lease.Name, in database: Database) throws -> Lease? {
        let sql = "SELECT holder, since, expires_at FROM leases WHERE name = ?"
        guard let row = try Row.fetchOne(database, sql: sql, arguments: [name.text]),
            let holder = LeaseHolder(text: row["holder"])
        else { return nil }
        return Lease(holder: holder, since: row["since"], expiresAt: row["expires_at"])
    }
}
