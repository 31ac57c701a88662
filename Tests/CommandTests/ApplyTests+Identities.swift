import Foundation
import TestSupport
import Testing

extension ApplyTests {
    private static let vaultsAndAlerts = """
        version: 1
        state: { path: state/state.db }
        node: { address: "127.0.0.1:8444", identity: mesh, allow: [{ san: ci.test, scope: write }] }
        identities:
          mesh: { source: vault, vault: main, pki: { role: node, common_name: edge.test } }
        vaults:
          main: { address: "https://vault.test", auth: { method: approle, role_id: canary-1, secret_id: canary-2 } }
        alerts:
          webhook: { url: "https://alerts.test", token: canary-3 }

        """

    @Test("Secrets of Vaults and alerts are sealed in the state, and deleted with the item that uses them")
    func vaultSecrets() throws {
        try write(Self.vaultsAndAlerts)
        let first = try apply()
        #expect(first.status == 0, "\(first.errors)")
        #expect(first.output.hasSuffix("Applied generation 1: 5 created.\n"), "\(first.output)")
        #expect(try sql("SELECT count(*) FROM secrets") == "3\n")
        #expect(try sql("SELECT group_concat(kind, ' ') FROM items") == "alerts gateway identity node vault\n")
        let records = try sql("SELECT group_concat(CAST(record AS TEXT)) FROM items")
        #expect(!records.contains("canary") && !(first.output + first.errors).contains("canary"))
        #expect(try apply().output == "No changes: the state is what the file says.\n")

        // Another secret is a change, and the former secret is deleted.
        try write(Self.vaultsAndAlerts.replacing("canary-2", with: "canary-4"))
        let changed = try apply()
        #expect(changed.output.contains("~ vault main\n      auth.secret_id.inline  (hidden) → (hidden, changed)\n"))
        #expect(try sql("SELECT count(*) FROM secrets") == "3\n")

        try write(Self.vaultsAndAlerts.components(separatedBy: "alerts:")[0])
        #expect(try apply().status == 0)
        #expect(try sql("SELECT count(*) FROM secrets") == "2\n")

        try write("version: 1\nstate: { path: state/state.db }\n")
        let last = try apply()
        #expect(last.output.contains("- node (no longer in the file)\n"), "\(last.output)")
        #expect(try sql("SELECT count(*) FROM secrets") == "0\n")
        #expect(try sql("SELECT group_concat(kind) FROM items") == "gateway\n")
    }

    @Test("A host recorded by an earlier version with ca_file only gets a new record")
    func formerKeyOfUpstreams() throws {
        try write(
            """
            version: 1
            state: { path: state/state.db }
            hosts:
              - { domain: a.test, upstreams: ["https://10.0.0.1"], upstream_tls: { ca_file: ca.pem } }
            """)
        #expect(try apply().status == 0)
        let record = #"{"domain":"a.test","upstreams":["https://10.0.0.1"],"ca_file":"ca.pem"}"#
        _ = try sql("UPDATE items SET record = CAST('\(record)' AS BLOB) WHERE kind = 'host'")
        let plan = try apply("--dry-run")
        #expect(
            plan.output.contains("~ host a.test (the same, recorded by another version)\n"), "\(plan.output)")
    }
}
