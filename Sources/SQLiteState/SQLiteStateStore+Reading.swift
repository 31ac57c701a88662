import Foundation
import GRDB
import State

extension SQLiteStateStore {
    package func snapshot() throws(StateError) -> StateSnapshot {
        try read { database in
            let position = try position(in: database)
            var snapshot = StateSnapshot(generation: position.generation, revision: position.revision, items: [:])
            try Columns.forEach(database, "SELECT \(Columns.item) FROM items") { row in
                if let (id, item) = row.item { snapshot.items[id] = item }
            }
            try Columns.forEach(database, "SELECT \(Columns.facts) FROM certificates") { row in
                let (id, item) = row.certificateItem
                snapshot.items[id] = item
            }
            try Columns.forEach(database, "SELECT \(Columns.facts), kept_since FROM kept_certificates") { row in
                let (id, item) = row.certificateItem
                snapshot.kept[id.name] = KeptCertificate(item: item, since: row.integer(Columns.afterFacts))
            }
            // An order with an empty issuer was placed by a client of the admin API.
            let orders = "SELECT certificate FROM orders WHERE issuer <> ''"
            for name in try String.fetchAll(database, sql: orders) {
                snapshot.renewals[name] = RenewalProgress(certificate: name)
            }
            for renewal in try renewals(in: database) { snapshot.renewals[renewal.certificate] = renewal }
            return snapshot
        }
    }

    package func position() throws(StateError) -> StatePosition {
        try readStatement { database in
            // A gateway reads the position again and again, so with this check it soon learns that a table is lost.
            try requireTables(in: database)
            return try position(in: database)
        }
    }

    func position(in database: Database) throws -> StatePosition {
        let row = try Row.fetchOne(database.cachedStatement(sql: "SELECT revision, generation FROM position"))
        return row.map { StatePosition(revision: $0[0], generation: $0[1]) } ?? .start
    }

    package func item(_ id: ItemID) throws(StateError) -> StoredItem? {
        try read { database in
            var item: StoredItem?
            let sql = "SELECT \(Columns.item) FROM items WHERE kind = ? AND name = ?"
            try Columns.forEach(database, sql, [id.kind.rawValue, id.name]) { item = $0.item?.1 }
            return item
        }
    }

    package func certificate(named name: String) throws(StateError) -> StoredCertificate? {
        try certificate(named: name, in: "certificates")
    }

    /// A kept certificate with its chain and sealed key; nil when none has this name.
    package func keptCertificate(named name: String) throws(StateError) -> StoredCertificate? {
        try certificate(named: name, in: "kept_certificates")
    }

    private func certificate(named name: String, in table: String) throws(StateError) -> StoredCertificate? {
        try read { database in
            var certificate: StoredCertificate?
            try Columns.forEach(database, "SELECT \(Columns.certificate) FROM \(table) WHERE name = ?", [name]) {
                certificate = $0.certificate
            }
            return certificate
        }
    }

    package func setting(_ name: SettingName) throws(StateError) -> [UInt8]? {
        try read { database in
            var value: [UInt8]?
            try Columns.forEach(database, "SELECT value FROM settings WHERE name = ?", [name.rawValue]) {
                value = $0.bytes(0)
            }
            return value
        }
    }

    package func sealedSecrets() throws(StateError) -> [String: [UInt8]] {
        try read { database in
            var secrets: [String: [UInt8]] = [:]
            try Columns.forEach(database, "SELECT fingerprint, sealed FROM secrets") {
                secrets[$0.text(0)] = $0.bytes(1)
            }
            return secrets
        }
    }

    package func generations() throws(StateError) -> [Generation] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM generations ORDER BY number DESC").map(Generation.init)
        }
    }

    package func sealedText(ofGeneration number: Int) throws(StateError) -> [UInt8]? {
        try read { database in
            var text: [UInt8]?
            let sql = "SELECT sealed_text FROM generation_texts WHERE number = ?"
            try Columns.forEach(database, sql, [number]) { text = $0.bytes(0) }
            return text
        }
    }

    package func directory() throws(StateError) -> String? {
        try read { database in
            try String.fetchOne(database, sql: "SELECT directory FROM generations ORDER BY number DESC LIMIT 1")
        }
    }

    /// Reads the certificates one by one, so that memory does not hold all of them.
    package func forEachCertificate(_ body: (StoredCertificate) -> Void) throws(StateError) {
        try forEachCertificate(in: "certificates", body)
    }

    package func forEachKeptCertificate(_ body: (StoredCertificate) -> Void) throws(StateError) {
        try forEachCertificate(in: "kept_certificates", body)
    }

    private func forEachCertificate(
        in table: String, _ body: (StoredCertificate) -> Void
    ) throws(StateError) {
        try read { database in
            try Columns.forEach(database, "SELECT \(Columns.certificate) FROM \(table) ORDER BY name") {
                body($0.certificate)
            }
        }
    }
}
