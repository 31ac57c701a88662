import Foundation
import GRDB
import State

/// The lists of items and events, and the remembered answers, that only the admin API uses.
extension SQLiteStateStore {
    package func certificates(_ query: CertificateQuery) throws(StateError) -> [NumberedCertificate] {
        var conditions = ["id > ?"]
        var arguments: StatementArguments = [query.after]
        if let domain = query.domain {
            // The column `domains` has a space between two names, and no name contains a space.
            let parent = domain.firstIndex(of: ".").map { "*" + domain[$0...] } ?? domain
            conditions.append("(instr(' ' || domains || ' ', ?) OR instr(' ' || domains || ' ', ?))")
            arguments += [" \(domain) ", " \(parent) "]
        }
        if let source = query.source {
            conditions.append("source = ?")
            arguments += [source.rawValue]
        }
        if let end = query.expiresBefore {
            conditions.append("expires_at < ?")
            arguments += [end]
        }
        return try certificates(
            where: conditions.joined(separator: " AND ") + " ORDER BY id LIMIT \(query.limit)", arguments)
    }

    package func certificate(numbered number: Int64) throws(StateError) -> NumberedCertificate? {
        try certificates(where: "id = ?", [number]).first
    }

    package func number(ofCertificate name: String) throws(StateError) -> Int64? {
        try read { try Int64.fetchOne($0, sql: "SELECT id FROM certificates WHERE name = ?", arguments: [name]) }
    }

    private func certificates(
        where condition: String, _ arguments: StatementArguments
    ) throws(StateError) -> [NumberedCertificate] {
        try read { database in
            var found: [NumberedCertificate] = []
            let sql = "SELECT \(Columns.facts), chain, id FROM certificates WHERE \(condition)"
            try Columns.forEach(database, sql, arguments) { row in
                let (id, item) = row.certificateItem
                guard let facts = item.certificate else { return }
                let certificate = StoredCertificate(
                    name: id.name, owner: item.owner, record: item.record, facts: facts,
                    chain: row.bytes(Columns.afterFacts), sealedKey: [])
                found.append(
                    NumberedCertificate(number: row.integer(Columns.afterFacts + 1), certificate: certificate))
            }
            return found
        }
    }

    package func hosts(after name: String?, limit: Int) throws(StateError) -> [(name: String, item: StoredItem)] {
        try items("kind = 'host' AND name > ? ORDER BY name LIMIT ?", [name ?? "", limit])
    }

    package func hosts(mentioning certificate: String) throws(StateError) -> [(name: String, item: StoredItem)] {
        try items(
            "kind = 'host' AND (name = ? OR instr(record, ?)) ORDER BY name",
            [certificate, Data("\"\(certificate)\"".utf8)])
    }

    package func hosts(named names: [String]) throws(StateError) -> [(name: String, item: StoredItem)] {
        let list = names.map { "\"\($0)\"" }.joined(separator: ",")
        // The record of a host without aliases does not contain the key "aliases", so SQLite need not parse it.
        return try items(
            """
            kind = 'host' AND (name IN (SELECT value FROM json_each(?1))
                OR instr(record, ?2) AND json_valid(CAST(record AS TEXT)) AND EXISTS (
                    SELECT 1 FROM json_each(CAST(record AS TEXT), '$.aliases')
                    WHERE value IN (SELECT value FROM json_each(?1)))) ORDER BY name
            """, ["[\(list)]", Data("\"aliases\"".utf8)])
    }

    package func items(of kind: ItemKind) throws(StateError) -> [(name: String, item: StoredItem)] {
        try items("kind = ? ORDER BY name", [kind.rawValue])
    }

    package func rememberedAnswer(
        to key: String, of actor: String, since: Int64
    ) throws(StateError) -> RememberedAnswer? {
        try read { database in
            let sql = "SELECT * FROM remembered_answers WHERE actor = ? AND key = ? AND at >= ?"
            return try Row.fetchOne(database, sql: sql, arguments: [actor, key, since]).flatMap(RememberedAnswer.init)
        }
    }

    func remember(_ answer: RememberedAnswer, _ revision: Int, in database: Database) throws {
        try execute(
            database, "DELETE FROM remembered_answers WHERE at < ?", [answer.at - RememberedAnswer.seconds])
        let youngestToGo = "SELECT at FROM remembered_answers ORDER BY at DESC LIMIT 1 OFFSET ?"
        if let time = try Int64.fetchOne(database, sql: youngestToGo, arguments: [RememberedAnswer.most - 1]) {
            try execute(database, "DELETE FROM remembered_answers WHERE at <= ?", [time])
        }
        let isCertificate = answer.item.kind == .certificate
        try execute(
            database,
            """
            INSERT OR REPLACE INTO remembered_answers (actor, key, request, status, kind, name, number, revision, at)
            VALUES (?, ?, ?, ?, ?, ?, coalesce(?, (SELECT id FROM certificates WHERE ? AND name = ?)), ?, ?)
            """,
            [
                answer.actor, answer.key, Data(answer.request), answer.status, answer.item.kind.rawValue,
                answer.item.name, answer.number, isCertificate, answer.item.name, revision, answer.at,
            ])
    }

    private func items(
        _ condition: String, _ arguments: StatementArguments
    ) throws(StateError) -> [(name: String, item: StoredItem)] {
        try read { database in
            var found: [(String, StoredItem)] = []
            try Columns.forEach(database, "SELECT \(Columns.item) FROM items WHERE \(condition)", arguments) { row in
                if let (id, item) = row.item { found.append((id.name, item)) }
            }
            return found
        }
    }

    package func events(_ query: EventQuery) throws(StateError) -> [NumberedEvent] {
        try read { database in
            var sql = "SELECT id, at, actor, action, kind, name, failure, details FROM events WHERE id > ? AND id < ?"
            var arguments: StatementArguments = [query.after, query.before]
            if let item = query.item {
                sql += " AND kind = ? AND name = ?"
                arguments += [item.kind.rawValue, item.name]
            }
            sql += " ORDER BY id \(query.isNewestFirst ? "DESC" : "") LIMIT \(query.limit)"
            return try Row.fetchAll(database, sql: sql, arguments: arguments).compactMap(NumberedEvent.init)
        }
    }

    package func generations(before number: Int?, limit: Int) throws(StateError) -> [Generation] {
        try read { database in
            try Row.fetchAll(
                database, sql: "SELECT * FROM generations WHERE number < ? ORDER BY number DESC LIMIT ?",
                arguments: [number ?? .max, limit]
            ).map(Generation.init)
        }
    }
}

extension RememberedAnswer {
    /// Nil for an item of a kind that this version does not know.
    fileprivate init?(_ row: Row) {
        guard let kind = ItemKind(rawValue: row["kind"]) else { return nil }
        let request: Data = row["request"]
        self.init(
            actor: row["actor"], key: row["key"], request: Array(request), status: row["status"],
            item: ItemID(kind, row["name"]), number: row["number"], revision: row["revision"], at: row["at"])
    }
}

extension NumberedEvent {
    /// Nil for an item of a kind that this version does not know.
    fileprivate init?(_ row: Row) {
        guard let kind = ItemKind(rawValue: row["kind"]) else { return nil }
        let text: String = row["details"]
        let details = try? JSONDecoder().decode([String: String].self, from: Data(text.utf8))
        self.init(
            number: row["id"],
            event: AuditEvent(
                at: row["at"], actor: row["actor"], action: row["action"], item: ItemID(kind, row["name"]),
                failure: row["failure"], details: details ?? [:]))
    }
}

extension Generation {
    init(_ row: Row) {
        self.init(
            number: row["number"], startedAt: row["started_at"], who: row["who"], fileName: row["file_name"],
            directory: row["directory"], fileHash: row["file_hash"],
            outcome: Generation.Outcome(rawValue: row["outcome"]) ?? .unfinished, summary: row["summary"])
    }
}
