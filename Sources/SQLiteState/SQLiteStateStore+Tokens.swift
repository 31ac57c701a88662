import Foundation
import GRDB
import State

/// The tokens of the admin API. Changes do not raise the revision, since gateways serve no tokens.
extension SQLiteStateStore {
    package func accessTokens() throws(StateError) -> [AccessToken] {
        try read { try Row.fetchAll($0, sql: "SELECT * FROM access_tokens ORDER BY name").map(AccessToken.init) }
    }

    package func addAccessToken(_ token: AccessToken, event: AuditEvent) throws(StateError) -> Bool {
        try write { database in
            try execute(
                database,
                """
                INSERT INTO access_tokens (name, scope, digest, created_at, created_by, expires_at)
                SELECT ?, ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM access_tokens) < ?
                ON CONFLICT DO NOTHING
                """,
                [
                    token.name, token.scope.rawValue, Data(token.digest), token.createdAt, token.createdBy,
                    token.expiresAt, AccessToken.most,
                ])
            guard database.changesCount == 1 else { return false }
            try append(event, in: database)
            return true
        }
    }

    package func deleteAccessToken(named name: String, event: AuditEvent) throws(StateError) -> Bool {
        try write { database in
            try execute(database, "DELETE FROM access_tokens WHERE name = ?", [name])
            guard database.changesCount == 1 else { return false }
            try append(event, in: database)
            return true
        }
    }

    package func noteUse(ofToken name: String, at now: Int64) throws(StateError) {
        // This record is not important, so the call does not wait for another process.
        try writeWithoutSync(waiting: false) {
            try execute($0, "UPDATE access_tokens SET last_used_at = ? WHERE name = ?", [now, name])
        }
    }
}

extension AccessToken {
    fileprivate init(_ row: Row) {
        let digest: Data = row["digest"]
        self.init(
            // A token with a scope that this version does not know may only read.
            name: row["name"], scope: Scope(rawValue: row["scope"]) ?? .read, digest: Array(digest),
            createdAt: row["created_at"], createdBy: row["created_by"], expiresAt: row["expires_at"],
            lastUsedAt: row["last_used_at"])
    }
}
