import Foundation
import GRDB
import State

/// The sessions of the admin page. Changes do not raise the revision, since gateways serve no sessions.
extension SQLiteStateStore {
    package func addLoginLink(_ link: LoginLink, event: AuditEvent) throws(StateError) {
        try write { database in
            try execute(database, "DELETE FROM login_links WHERE expires_at <= ?", [event.at])
            try execute(
                database, "INSERT INTO login_links (digest, created_by, expires_at) VALUES (?, ?, ?)",
                [Data(link.digest), link.createdBy, link.expiresAt])
            try append(event, in: database)
        }
    }

    package func hasLoginLink(digest: [UInt8], at now: Int64) throws(StateError) -> Bool {
        try read { database in
            let sql = "SELECT 1 FROM login_links WHERE digest = ? AND expires_at > ?"
            return try Bool.fetchOne(database, sql: sql, arguments: [Data(digest), now]) == true
        }
    }

    package func openSession(byLink link: [UInt8], _ session: [UInt8], at now: Int64, details: [String: String])
        throws(StateError) -> AdminSession?
    {
        try write { database in
            let row = try Row.fetchOne(
                database, sql: "DELETE FROM login_links WHERE digest = ? RETURNING *", arguments: [Data(link)])
            guard let row, now < row["expires_at"] else { return nil }
            let opened = AdminSession(digest: session, openedBy: row["created_by"], openedAt: now, lastUsedAt: now)
            try endOldSessions(at: now, in: database)
            try execute(
                database,
                "INSERT INTO admin_sessions (digest, opened_by, opened_at, last_used_at) VALUES (?, ?, ?, ?)",
                [Data(session), opened.openedBy, now, now])
            try append(
                AuditEvent(
                    at: now, actor: opened.openedBy, action: "login", item: ItemID(single: .gateway), details: details),
                in: database)
            return opened
        }
    }

    /// Deletes the sessions that are over, and the oldest ones if there are too many.
    private func endOldSessions(at now: Int64, in database: Database) throws {
        try execute(
            database, "DELETE FROM admin_sessions WHERE opened_at <= ? OR last_used_at <= ?",
            [now - AdminSession.lifetimeSeconds, now - AdminSession.idleSeconds])
        let tooMany = "SELECT digest FROM admin_sessions ORDER BY opened_at DESC LIMIT -1 OFFSET ?"
        try execute(
            database, "DELETE FROM admin_sessions WHERE digest IN (\(tooMany))", [AdminSession.most - 1])
    }

    package func session(digest: [UInt8]) throws(StateError) -> AdminSession? {
        try read { database in
            try Row.fetchOne(
                database, sql: "SELECT * FROM admin_sessions WHERE digest = ?", arguments: [Data(digest)]
            ).map(AdminSession.init)
        }
    }

    package func noteUse(ofSession digest: [UInt8], at now: Int64) throws(StateError) {
        // This record is not important, so the call does not wait for another process.
        try writeWithoutSync(waiting: false) {
            try execute($0, "UPDATE admin_sessions SET last_used_at = ? WHERE digest = ?", [now, Data(digest)])
        }
    }

    package func endSession(digest: [UInt8], event: AuditEvent) throws(StateError) {
        try write { database in
            try execute(database, "DELETE FROM admin_sessions WHERE digest = ?", [Data(digest)])
            guard database.changesCount == 1 else { return }
            try append(event, in: database)
        }
    }
}

extension AdminSession {
    fileprivate init(_ row: Row) {
        let digest: Data = row["digest"]
        self.init(
            digest: Array(digest), openedBy: row["opened_by"], openedAt: row["opened_at"],
            lastUsedAt: row["last_used_at"])
    }
}
