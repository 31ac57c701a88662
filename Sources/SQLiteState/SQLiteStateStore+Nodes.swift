import Foundation
import GRDB
import State

extension SQLiteStateStore {
    package func report(_ node: GatewayNode) throws(StateError) {
        try writeWithoutSync { database in
            // The revision stays the same: reports change nothing that gateways serve, and a changed revision would
            // make a running apply plan again.
            try execute(
                database,
                """
                INSERT OR REPLACE INTO nodes (id, machine, process, version, started_at, heartbeat_at, revision,
                    generation, phase, problems, last_problem, troubles)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
                [
                    node.id, node.machine, node.process, node.version, node.startedAt, node.heartbeatAt,
                    node.position.revision, node.position.generation, node.phase.rawValue, node.problems,
                    node.lastProblem, StoredTrouble.text(of: node.troubles),
                ])
            try execute(
                database, "DELETE FROM nodes WHERE heartbeat_at < ?", [node.heartbeatAt - GatewayNode.forgottenSeconds])
        }
    }

    package func removeNode(_ id: String) throws(StateError) {
        try writeWithoutSync { try execute($0, "DELETE FROM nodes WHERE id = ?", [id]) }
    }

    package func nodes() throws(StateError) -> [GatewayNode] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM nodes ORDER BY machine, process, id").map { row in
                GatewayNode(
                    id: row["id"], machine: row["machine"], process: row["process"], version: row["version"],
                    startedAt: row["started_at"], heartbeatAt: row["heartbeat_at"],
                    position: StatePosition(revision: row["revision"], generation: row["generation"]),
                    phase: GatewayNode.Phase(rawValue: row["phase"]) ?? .starting, problems: row["problems"],
                    lastProblem: row["last_problem"], troubles: StoredTrouble.troubles(in: row["troubles"]))
            }
        }
    }

    package func record(events: [AuditEvent]) throws(StateError) {
        try write { database in
            for event in events { try append(event, in: database) }
            if events.contains(where: { $0.action == "refuse" }) { try pruneRefusals(in: database) }
        }
    }
}

/// The JSON form of a `GatewayNode.Trouble`.
private struct StoredTrouble: Codable {
    let text: String
    let kind: String?
    let name: String?

    static func text(of troubles: [GatewayNode.Trouble]) -> String {
        let stored = troubles.prefix(GatewayNode.mostTroubles).map {
            StoredTrouble(text: $0.text, kind: $0.item?.kind.rawValue, name: $0.item?.name)
        }
        // The encoding can't fail, since the objects contain only texts.
        return (try? JSONEncoder().encode(stored)).map { String(decoding: $0, as: UTF8.self) } ?? "[]"
    }

    /// Reads the troubles from a text. A trouble loses its item if only a later version of Aegis knows the item's kind.
    static func troubles(in text: String) -> [GatewayNode.Trouble] {
        let stored = try? JSONDecoder().decode([StoredTrouble].self, from: Data(text.utf8))
        return (stored ?? []).map { trouble in
            let kind = trouble.kind.flatMap { ItemKind(rawValue: $0) }
            return GatewayNode.Trouble(trouble.text, item: kind.map { ItemID($0, trouble.name ?? "") })
        }
    }
}
