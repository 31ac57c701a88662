import GRDB
import State

extension SQLiteStateStore {
    /// Deletes history beyond `retention`. Indices find the rows, so the cost grows only with the number of deleted
    /// rows.
    func prune(_ retention: Retention, now: Int64, in database: Database) throws {
        try execute(
            database, "DELETE FROM kept_certificates WHERE kept_since <= ? OR expires_at <= ?",
            [now - retention.certificateSeconds, now])
        try execute(
            database, "DELETE FROM generation_texts WHERE number <= (SELECT generation FROM position) - ?",
            [retention.generationTexts])
        try execute(
            database, "DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", [retention.events])
        // The deletions of one commit are kept or deleted together, so that readers can tell by the revision whether
        // they missed any.
        let youngestToGo = "SELECT revision FROM deletions ORDER BY revision DESC LIMIT 1 OFFSET ?"
        guard let revision = try Int.fetchOne(database, sql: youngestToGo, arguments: [retention.deletions]) else {
            return
        }
        try execute(database, "DELETE FROM deletions WHERE revision <= ?", [revision])
        try execute(database, "UPDATE position SET pruned_revision = max(pruned_revision, ?)", [revision])
    }
}
