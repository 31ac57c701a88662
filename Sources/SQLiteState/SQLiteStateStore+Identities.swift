import Foundation
import GRDB
import State

/// Identities that come from Vaults.
extension SQLiteStateStore {
    package func obtainedIdentity(_ name: String) throws(StateError) -> ObtainedIdentity? {
        try read { database in
            try Row.fetchOne(database, sql: "SELECT * FROM obtained_identities WHERE name = ?", arguments: [name])
                .map(ObtainedIdentity.init)
        }
    }

    package func obtainedIdentities() throws(StateError) -> [ObtainedIdentity] {
        try read {
            try Row.fetchAll($0, sql: "SELECT * FROM obtained_identities ORDER BY name").map(ObtainedIdentity.init)
        }
    }

    package func putObtainedIdentity(_ identity: ObtainedIdentity, by holder: LeaseHolder) throws(StateError) {
        try write { database in
            try checkMayObtain(identity.name, holder, in: database)
            try execute(
                database,
                """
                INSERT OR REPLACE INTO obtained_identities (name, declaration, chain, authorities, sealed_key,
                    secret_version, not_before, not_after, obtained_at)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
                [
                    identity.name, Data(identity.declaration), Data(identity.chain), Data(identity.authorities),
                    Data(identity.sealedKey), identity.secretVersion, identity.notBefore, identity.notAfter,
                    identity.obtainedAt,
                ])
            try execute(database, "DELETE FROM identity_requests WHERE name = ?", [identity.name])
        }
    }

    package func identityRequest(for name: String) throws(StateError) -> IdentityRequest? {
        try read { database in
            try Row.fetchOne(database, sql: "SELECT * FROM identity_requests WHERE name = ?", arguments: [name])
                .map(IdentityRequest.init)
        }
    }

    package func identityRequests() throws(StateError) -> [IdentityRequest] {
        try read {
            try Row.fetchAll($0, sql: "SELECT * FROM identity_requests ORDER BY name").map(IdentityRequest.init)
        }
    }

    package func putIdentityRequest(_ request: IdentityRequest, by holder: LeaseHolder) throws(StateError) {
        try write { database in
            try checkMayObtain(request.name, holder, in: database)
            try execute(
                database,
                "INSERT OR REPLACE INTO identity_requests (name, declaration, sealed_key, created_at) VALUES (?, ?, ?, ?)",
                [request.name, Data(request.declaration), Data(request.sealedKey), request.createdAt])
        }
    }

    /// Deletes the stored identities and requests of identities that the file no longer declares with the source
    /// `vault`.
    func forgetIdentities(in database: Database) throws {
        for table in ["obtained_identities", "identity_requests"] {
            try execute(database, "DELETE FROM \(table) WHERE name NOT IN (\(Self.identitiesFromVaults))", [])
        }
    }

    /// Selects the names of the identities with the source `vault`. A record is compact JSON with the keys of the file,
    /// so `$.source` leads to the source.
    private static let identitiesFromVaults = """
        SELECT name FROM items WHERE kind = 'identity' AND json_valid(CAST(record AS TEXT))
            AND json_extract(CAST(record AS TEXT), '$.source') = 'vault'
        """

    private func checkMayObtain(_ name: String, _ holder: LeaseHolder, in database: Database) throws {
        try checkLease(.identity(name), of: holder, in: database)
        let sql = "SELECT ? IN (\(Self.identitiesFromVaults))"
        guard try Bool.fetchOne(database, sql: sql, arguments: [name]) == true else {
            throw StateError.changedMeanwhile(ItemID(.identity, name))
        }
    }
}

extension ObtainedIdentity {
    fileprivate init(_ row: Row) {
        self.init(
            name: row["name"], declaration: Array(row["declaration"] as Data), chain: Array(row["chain"] as Data),
            authorities: Array(row["authorities"] as Data), sealedKey: Array(row["sealed_key"] as Data),
            secretVersion: row["secret_version"], notBefore: row["not_before"], notAfter: row["not_after"],
            obtainedAt: row["obtained_at"])
    }
}

extension IdentityRequest {
    fileprivate init(_ row: Row) {
        self.init(
            name: row["name"], declaration: Array(row["declaration"] as Data),
            sealedKey: Array(row["sealed_key"] as Data), createdAt: row["created_at"])
    }
}
