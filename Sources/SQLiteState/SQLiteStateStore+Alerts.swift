import GRDB
import State

/// The alerts about expiring certificates and identities.
extension SQLiteStateStore {
    package func expiryAlerts() throws(StateError) -> [ExpiryAlert] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM expiry_alerts ORDER BY kind, name, fingerprint")
                .compactMap(ExpiryAlert.init)
        }
    }

    package func claim(
        _ alerts: [(alert: ExpiryAlert, event: AuditEvent)]
    ) throws(StateError) -> [ExpiryAlert] {
        guard !alerts.isEmpty else { return [] }
        return try write { database in
            try alerts.compactMap { alert, event in
                guard try claim(alert, in: database) else { return nil }
                try append(event, in: database)
                return alert
            }
        }
    }

    /// Stores the alert. Returns false if an alert at this threshold, or at one nearer to the expiry, is already
    /// stored.
    private func claim(_ alert: ExpiryAlert, in database: Database) throws -> Bool {
        let subject = alert.subject
        try execute(
            database,
            """
            INSERT INTO expiry_alerts (kind, name, fingerprint, threshold, not_after, told_at, tries, next_try_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (kind, name, fingerprint) DO UPDATE SET threshold = excluded.threshold,
                not_after = excluded.not_after, told_at = excluded.told_at, tries = excluded.tries,
                next_try_at = excluded.next_try_at, delivered_at = NULL
            WHERE excluded.threshold < threshold
            """,
            [
                subject.kind.rawValue, subject.name, subject.fingerprint, alert.threshold.seconds, alert.notAfter,
                alert.toldAt, alert.tries, alert.nextTryAt,
            ])
        guard database.changesCount == 1 else { return false }
        // Deletes alerts about two kinds of expired certificates: those that this certificate has replaced, and those
        // that expired long ago.
        try execute(
            database,
            """
            DELETE FROM expiry_alerts
            WHERE not_after < ? OR (kind = ? AND name = ? AND fingerprint <> ? AND not_after <= ?)
            """,
            [
                alert.toldAt - ExpiryAlert.keptSeconds, subject.kind.rawValue, subject.name, subject.fingerprint,
                alert.toldAt,
            ])
        return true
    }

    package func claimTry(of alert: ExpiryAlert, now: Int64) throws(StateError) -> ExpiryAlert? {
        var claimed = alert
        claimed.tries += 1
        claimed.nextTryAt = claimed.tries < ExpiryAlert.mostTries ? now + ExpiryAlert.retrySeconds : nil
        return try update(alert, "tries = ?, next_try_at = ?", [claimed.tries, claimed.nextTryAt]) ? claimed : nil
    }

    package func delivered(_ alert: ExpiryAlert, at time: Int64) throws(StateError) {
        _ = try update(alert, "delivered_at = ?, next_try_at = NULL", [time])
    }

    /// Changes the row of an alert. Does nothing and returns false if another process has changed it since it was read.
    private func update(
        _ alert: ExpiryAlert, _ columns: String, _ values: StatementArguments
    ) throws(StateError) -> Bool {
        let subject = alert.subject
        return try write { database in
            try execute(
                database,
                """
                UPDATE expiry_alerts SET \(columns)
                WHERE kind = ? AND name = ? AND fingerprint = ? AND threshold = ? AND tries = ? AND next_try_at IS ?
                """,
                values + [
                    subject.kind.rawValue, subject.name, subject.fingerprint, alert.threshold.seconds, alert.tries,
                    alert.nextTryAt,
                ])
            return database.changesCount == 1
        }
    }
}

extension ExpiryAlert {
    /// Nil for a kind that this version does not know.
    fileprivate init?(_ row: Row) {
        guard let kind = Kind(rawValue: row["kind"]) else { return nil }
        self.init(
            Subject(kind, row["name"], fingerprint: row["fingerprint"]), notAfter: row["not_after"],
            threshold: ExpiryThreshold(seconds: row["threshold"]), toldAt: row["told_at"], tries: row["tries"],
            nextTryAt: row["next_try_at"], deliveredAt: row["delivered_at"])
    }
}
