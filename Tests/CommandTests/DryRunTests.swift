import Foundation
import SQLiteState
import State
import TestSupport
import Testing

/// Which failures of an apply a dry run reports, and what commands print around it.
@Suite struct DryRunTests {
    private static let key = String(repeating: "0123456789abcdef", count: 4)
    private static let text = """
        # hush-comment
        version: 1
        state: { path: state.db }
        issuers: { lan: { type: local_ca } }
        certificates: { x: { issuer: lan, domains: [a.internal] } }
        hosts:
          - { domain: a.internal, respond: { body: one }, ssl_mode: custom, certificate: x }
          - domain: b.internal
            respond: {}
            headers: { request: { set: { Authorization: hush-value } } }

        """

    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        _ = try folder.file("aegis.yaml", Self.text)
    }

    private func run(_ arguments: String..., key: String? = DryRunTests.key) throws -> ApplyProgram.Outcome {
        try ApplyProgram.run(arguments, in: folder.path, environment: key.map { ["AEGIS_SSL_KEY": $0] } ?? [:])
    }

    @Test("A key that an apply would refuse is an error of the plan")
    func key() throws {
        let malformed = try run("--dry-run", key: "abc")
        #expect(malformed.status == 3)
        #expect(malformed.errors.hasPrefix("aegis.yaml: error: the encryption key (env AEGIS_SSL_KEY): "))
        #expect(malformed.output.contains("  ! aegis.yaml: error: the encryption key (env AEGIS_SSL_KEY): "))
        #expect(malformed.output.hasSuffix("1 to issue. 1 error, 1 warning.\n"), "\(malformed.output)")
        #expect(!malformed.output.contains("abc"))
        #expect(try run("--dry-run").status == 0)
        #expect(try run().status == 0)
        let other = try run("--dry-run", key: String(Self.key.reversed()))
        #expect(other.status == 3)
        #expect(other.errors.contains("error: the state is sealed with another encryption key"), "\(other.errors)")
    }

    @Test("A plan has its warnings, which quote no line without a place, and --strict counts them")
    func warnings() throws {
        let plan = try run("--dry-run", key: nil)
        #expect(plan.status == 0)
        let unsafeKey = "aegis.yaml: warning: no encryption key is given: a new encryption key is kept in the state"
        #expect(plan.errors.hasPrefix(unsafeKey))
        #expect(!plan.errors.contains("****-"), "no line is quoted for what has no place: \(plan.errors)")
        #expect(plan.output.contains("\n  ! \(unsafeKey)"))
        #expect(
            plan.output.contains("\n  ! aegis.yaml:10:49: warning: header 'Authorization' has a secret in plain text\n")
        )
        #expect(plan.output.hasSuffix("\n\nPlan: 4 to create, 1 to issue. 2 warnings.\n"), "\(plan.output)")
        #expect(try run("--dry-run", "--strict").status == 3)
        #expect(try run("validate").status == 0)
        #expect(try run("validate", "--strict").status == 65)
        #expect(try run("--strict").status == 64)
        #expect(try run().status == 0)
        #expect(try run("--dry-run", "--detailed-exitcode", "--strict").status == 3)
    }

    @Test("JSON lists errors and warnings separately, without a line if there is no place")
    func json() throws {
        let plan = try run("--dry-run", "--format", "json", key: "abc")
        #expect(plan.status == 3)
        let object = try #require(try JSONSerialization.jsonObject(with: Data(plan.output.utf8)) as? [String: Any])
        let errors = try #require(object["errors"] as? [[String: Any]])
        #expect(errors.count == 1 && errors[0]["line"] is NSNull && errors[0]["column"] is NSNull)
        #expect((object["warnings"] as? [[String: Any]])?.map { $0["line"] as? Int } == [10])
    }

    @Test(
        "--config names the file for every command, and a file with the other extension is suggested",
        arguments: [["--dry-run"], ["validate"], ["status"], ["history"], ["certificates", "list"]])
    func config(_ arguments: [String]) throws {
        #expect(try run().status == 0)
        try FileManager.default.moveItem(atPath: folder.path("aegis.yaml"), toPath: folder.path("aegis.yml"))
        let missing = try ApplyProgram.run(arguments, in: folder.path)
        #expect(missing.status == 1)
        #expect(missing.errors.hasSuffix("hint: did you mean 'aegis.yml'? name the file with --config FILE\n"))
        let named = try ApplyProgram.run(
            arguments + ["--config", "aegis.yml"], in: folder.path, environment: ["AEGIS_SSL_KEY": Self.key])
        #expect(named.status == 0, "\(named.errors)")
        let twice = try ApplyProgram.run(["validate", "aegis.yml", "--config", "aegis.yml"], in: folder.path)
        #expect(twice.status == 64)
    }

    @Test("A rollback has a dry run, and history shows a generation's text without secrets")
    func earlierGenerations() throws {
        #expect(try run().status == 0)
        _ = try folder.file(
            "aegis.yaml", Self.text.replacing("one", with: "two").replacing("hush-value", with: "other"))
        #expect(try run().status == 0)
        let plan = try run("rollback", "1", "--dry-run")
        #expect(plan.status == 0)
        #expect(plan.output.contains("respond.body  two → one\n"), "\(plan.output)")
        #expect(plan.output.contains("headers.request.set.Authorization  (hidden) → (hidden, changed)\n"))
        #expect(try run("rollback", "1", "--format", "json").status == 64)
        #expect(try run("rollback", "1", "--strict").status == 64)
        #expect(try run("rollback", "1", "--detailed-exitcode").status == 64)
        #expect(try run("rollback", "1", "--dry-run", "--detailed-exitcode").status == 2)
        #expect(try run("rollback", "2", "--dry-run", "--detailed-exitcode").status == 0)
        // The header's secret in plain text causes a warning.
        #expect(try run("rollback", "2", "--dry-run", "--strict", "--detailed-exitcode").status == 3)
        #expect(try run("history").output.split(separator: "\n").count == 3, "nothing was applied")
        let shown = try run("history", "show", "1")
        #expect(shown.status == 0)
        #expect(shown.output.contains("respond: { body: one }"), "\(shown.output)")
        #expect(shown.output.contains("Authorization: **********"))
        #expect(!shown.output.contains("hush"))
        #expect(shown.output.split(separator: "\n").count == 10)
        #expect(try run("history", "show", "9").status == 1)
    }

    @Test(
        "After a failed forced renewal, status shows the due time and --check succeeds"
    )
    func nextTry() throws {
        #expect(try run().status == 0)
        #expect(try run("status", "--check").status == 0)
        let store = try SQLiteStateStore(path: folder.path("state.db"))
        var progress = RenewalProgress(certificate: "x")
        (progress.failures, progress.nextTryAt, progress.lastFailure) = (1, 1_000, "busy")
        try store.putRenewal(progress)
        store.close()
        let status = try run("status")
        #expect(status.status == 0)
        let line = try #require(status.output.split(separator: "\n").last)
        #expect(
            line.hasPrefix("note: certificate x could not be obtained once; next try 2")
                && line.hasSuffix(" UTC (no gateway runs): busy"),
            "\(line)"
        )
        let words = try #require(line.split(separator: "next try ").last)
        #expect(words > ISO8601DateFormatter().string(from: Date()).prefix(10), "it is to come")
        #expect(try run("status", "--check").status == 0)
    }
}
