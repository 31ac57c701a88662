import GRDB
import State

extension SQLiteStateStore {
    /// Deletes history beyond `retention`. SQLite finds most of these rows by an index. To find old events, SQLite
    /// reads as many rows as are kept.
    func prune(_ retention: Retention, now: Int64, in database: Database) throws {
        try execute(
            database, "DELETE FROM kept_certificates WHERE kept_since <= ? OR expires_at <= ?",
            [now - retention.certificateSeconds, now])
        // Deletes orders that clients of the admin API placed and the CA refused, once they are too old to be repeated.
        try execute(
            database, "DELETE FROM orders WHERE issuer = '' AND is_finalized = 0 AND created_at <= ?",
            [now - RememberedAnswer.seconds])
        try execute(
            database, "DELETE FROM generation_texts WHERE number <= (SELECT generation FROM position) - ?",
            [retention.generationTexts])
        try prune(events: "action <> 'refuse'", atMost: retention.events, in: database)
        // The deletions of one commit are kept or deleted together, so that readers can tell by the revision whether
        // they missed any.
        let youngestToGo = "SELECT revision FROM deletions ORDER BY revision DESC LIMIT 1 OFFSET ?"
        guard let revision = try Int.fetchOne(database, sql: youngestToGo, arguments: [retention.deletions]) else {
            return
        }
        try execute(database, "DELETE FROM deletions WHERE revision <= ?", [revision])
        try execute(database, "UPDATE position SET pruned_revision = max(pruned_revision, ?)", [revision])
    }

    /// Deletes the oldest events about peers whose certificates were refused, beyond a limit of their own. Anybody can
    /// cause such events, so they must not displace others. Called whenever such an event is recorded.
    func pruneRefusals(in database: Database) throws {
        try prune(events: "action = 'refuse'", atMost: Retention.refusals, in: database)
    }

    private func prune(events condition: String, atMost count: Int, in database: Database) throws {
        let youngestToGo = "SELECT id FROM events WHERE \(condition) ORDER BY id DESC LIMIT 1 OFFSET ?"
        guard let id = try Int64.fetchOne(database, sql: youngestToGo, arguments: [count]) else { return }
        try execute(database, "DELETE FROM events WHERE id <= ? AND \(condition)", [id])
    }
}
