import Foundation
import GRDB
import State

/// Records of certificates and packs at Cloudflare.
extension SQLiteStateStore {
    // MARK: Certificates to be revoked

    package func supersededCertificates() throws(StateError) -> [SupersededCertificate] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM superseded ORDER BY since, id").map(
                SupersededCertificate.init)
        }
    }

    package func updateSuperseded(_ certificate: SupersededCertificate) throws(StateError) {
        try write { database in
            try execute(
                database, "UPDATE superseded SET failures = ?, next_try_at = ? WHERE id = ?",
                [certificate.failures, certificate.nextTryAt, certificate.id])
        }
    }

    package func deleteSuperseded(id: String) throws(StateError) {
        try write { try execute($0, "DELETE FROM superseded WHERE id = ?", [id]) }
    }

    func supersede(_ certificate: SupersededCertificate, in database: Database) throws {
        try execute(
            database,
            """
            INSERT OR REPLACE INTO superseded (id, certificate, issuer, since, failures, next_try_at)
            VALUES (?, ?, ?, ?, ?, ?)
            """,
            [
                certificate.id, certificate.certificate, certificate.issuer, certificate.since, certificate.failures,
                certificate.nextTryAt,
            ])
    }

    // MARK: Packs

    package func edgePacks() throws(StateError) -> [EdgePack] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM edge_packs ORDER BY certificate, number").map(EdgePack.init)
        }
    }

    package func putEdgePack(_ pack: EdgePack, by holder: LeaseHolder) throws(StateError) -> EdgePack {
        try write { database in
            try checkLease(.edgeCertificate(pack.certificate), of: holder, in: database)
            try execute(
                database,
                """
                INSERT OR REPLACE INTO edge_packs (number, certificate, zone, ordered, former_ids, id, status, expires_at,
                    notes, ordered_at, checked_at, since)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
                [
                    pack.number, pack.certificate, pack.zone, pack.order, pack.formerIDs.joined(separator: " "),
                    pack.id,
                    pack.status, pack.expiresAt, pack.notes.joined(separator: "\n"), pack.orderedAt, pack.checkedAt,
                    pack.since,
                ])
            var put = pack
            put.number = pack.number ?? database.lastInsertedRowID
            return put
        }
    }

    package func deleteEdgePack(_ pack: EdgePack, by holder: LeaseHolder) throws(StateError) {
        try write { database in
            try checkLease(.edgeCertificate(pack.certificate), of: holder, in: database)
            try execute(database, "DELETE FROM edge_packs WHERE number = ?", [pack.number])
        }
    }
}

extension SupersededCertificate {
    fileprivate init(_ row: Row) {
        self.init(
            id: row["id"], certificate: row["certificate"], issuer: row["issuer"], since: row["since"],
            failures: row["failures"], nextTryAt: row["next_try_at"])
    }
}

extension EdgePack {
    fileprivate init(_ row: Row) {
        self.init(
            number: row["number"], certificate: row["certificate"], zone: row["zone"], order: row["ordered"],
            formerIDs: (row["former_ids"] as String).split(separator: " ").map(String.init), id: row["id"],
            status: row["status"], expiresAt: row["expires_at"],
            notes: (row["notes"] as String).split(separator: "\n").map(String.init), orderedAt: row["ordered_at"],
            checkedAt: row["checked_at"], since: row["since"])
    }
}
