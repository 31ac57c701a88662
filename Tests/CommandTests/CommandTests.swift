import Foundation
import TestSupport
import Testing

@Suite struct CommandTests {
    private static let good = "version: 1\nhosts:\n  - { domain: localhost, respond: { body: hello } }\n"
    private static let bad = "version: 1\nhots: []\n"

    struct Case: Sendable, CustomStringConvertible {
        let description: String
        let arguments: [String]
        let status: Int32

        init(_ description: String, _ arguments: String, _ status: Int32) {
            self.description = description
            self.arguments = arguments.split(separator: " ").map(String.init)
            self.status = status
        }
    }

    @Test(
        "Each exit code has its meaning",
        arguments: [
            Case("a valid file", "validate good.yaml", 0),
            Case("an invalid file", "validate bad.yaml", 65),
            Case("an invalid file as JSON", "validate bad.yaml --format json", 65),
            Case("no such file", "validate none.yaml", 1),
            Case("a folder", "validate .", 1),
            Case("a plan", "good.yaml --dry-run", 0),
            Case("a plan by the subcommand's name", "apply --dry-run good.yaml", 0),
            Case("a plan with changes", "good.yaml --dry-run --detailed-exitcode", 2),
            Case("a plan of an invalid file", "bad.yaml --dry-run --detailed-exitcode", 65),
            Case("an unknown option", "--dry-rum", 64),
            Case("an unknown format", "--dry-run --format yaml", 64),
            Case("options that don't go together", "good.yaml --detailed-exitcode", 64),
            Case("preflight for an apply", "good.yaml --preflight", 64),
            Case("a plan with preflight", "good.yaml --dry-run --preflight", 0),
            Case("help", "--help", 0),
            Case("a subcommand's help", "validate --help", 0),
            Case("the version", "--version", 0),
            Case("the file before the command", "--config good.yaml validate", 0),
            Case("an invalid file before the command", "--config=bad.yaml validate", 65),
            Case("the file before a command within a command", "certificates --config none.yaml list", 1),
            Case("the file between commands", "--config none.yaml admin --state none.db token list", 1),
            Case("the schema", "schema", 0), Case("the schema by a file", "schema --config good.yaml", 0),
        ])
    func exitCodes(_ sample: Case) throws {
        let folder = try TemporaryFolder()
        _ = try folder.file("good.yaml", Self.good)
        _ = try folder.file("bad.yaml", Self.bad)
        let outcome = try ApplyProgram.run(sample.arguments, in: folder.path)
        #expect(outcome.status == sample.status, "\(outcome.output)\(outcome.errors)")
    }

    @Test("The default file is aegis.yaml, and '-' is the standard input")
    func whichFile() throws {
        let folder = try TemporaryFolder()
        let missing = try ApplyProgram.run(["validate"], in: folder.path)
        #expect(missing.errors.hasPrefix("aegis-apply: cannot read 'aegis.yaml': No such file or directory\nhint: "))
        _ = try folder.file("aegis.yaml", Self.good)
        #expect(try ApplyProgram.run(["validate"], in: folder.path).output == "aegis.yaml is valid\n")
        let piped = try ApplyProgram.run(["validate", "-"], in: folder.path, input: Self.bad)
        #expect(piped.status == 65)
        #expect(piped.errors.hasPrefix("<stdin>:2:1: error: unknown key 'hots'"))
    }

    @Test("Diagnostics go to the standard error, plans and JSON to the standard output")
    func streams() throws {
        let text = try ApplyProgram.run(
            ["--dry-run", "-"], input: Self.good, environment: ["AEGIS_SSL_KEY": String(repeating: "5a", count: 32)])
        #expect(text.output.hasSuffix("Plan: 2 to create.\n"))
        #expect(text.errors.isEmpty)
        let invalid = try ApplyProgram.run(["--dry-run", "-"], input: Self.bad)
        #expect(invalid.output.isEmpty)
        #expect(invalid.errors.hasSuffix("1 error in <stdin>\n"))
        let json = try ApplyProgram.run(["validate", "--format", "json", "-"], input: Self.bad)
        #expect(json.errors.isEmpty)
        let report = try JSONDecoder().decode(Report.self, from: Data(json.output.utf8))
        #expect(!report.valid)
        #expect(report.diagnostics.map(\.line) == [2])
        #expect(report.diagnostics.map(\.hint) == ["did you mean 'hosts'?"])
    }

    private struct Report: Decodable {
        struct Item: Decodable {
            let path: String
            let line: Int
            let column: Int
            let severity: String
            let message: String
            let hint: String?
        }
        let valid: Bool
        let diagnostics: [Item]
    }

    @Test(
        "A misspelt command is wrong usage, and the error suggests the right one",
        arguments: [
            ["statu"], ["certificates", "lst"], ["rolback", "3"], ["--dry-rum"], ["status", "--fromat", "json"],
            ["plan"], ["diff", "--strict"],
        ])
    func misspeltCommand(_ arguments: [String]) throws {
        let folder = try TemporaryFolder()
        let outcome = try ApplyProgram.run(arguments, in: folder.path)
        #expect(outcome.status == 64)
        #expect(outcome.errors.lowercased().contains("did you mean '"), "\(outcome.errors)")
        // A word that is the name of a file is a file, even if it resembles a command.
        guard arguments == ["statu"] else { return }
        _ = try folder.file("statu", Self.good)
        #expect(try ApplyProgram.run(["statu", "--dry-run"], in: folder.path).status == 0)
    }

    @Test(
        "An unknown option is reported before anything that its value is taken for",
        arguments: [
            (["--config", "a", "--state", "b"], "--state"), (["validate", "--config", "a", "--dry", "b"], "--dry"),
            (["renew", "--all", "--sate", "b"], "--sate"), (["renew", "--force", "--sate"], "--sate"),
            (["rekey", "--new-key", "x"], "--new-key"), (["rollback", "1", "--format", "json", "--dry"], "--dry"),
            (["init", "--config", "a", "--outt", "b"], "--outt"), (["--strict", "--dry"], "--dry"),
        ])
    func unknownOption(_ arguments: [String], _ option: String) throws {
        let outcome = try ApplyProgram.run(arguments)
        #expect(outcome.status == 64)
        #expect(outcome.errors.hasPrefix("Error: Unknown option '\(option)'"), "\(outcome.errors)")
    }

    @Test("Rules between options hold if all options are known, and the usage is that of the command")
    func rules() throws {
        for (arguments, words) in [
            (["a", "--config", "b"], "Error: Give the file once: FILE or --config FILE.\n"),
            (["renew", "--force"], "Error: --force needs names, or --all.\nUsage: aegis-apply renew "),
            (["--strict"], "Error: --strict goes with --dry-run.\n"),
        ] {
            let outcome = try ApplyProgram.run(arguments)
            #expect(outcome.status == 64 && outcome.errors.hasPrefix(words), "\(outcome.errors)")
        }
    }

    @Test(
        "'help' stands before or after a command with subcommands",
        arguments: [
            ["help", "certificates", "revoke"], ["certificates", "help", "revoke"],
            ["certificates", "revoke", "--help"],
        ])
    func help(_ arguments: [String]) throws {
        let outcome = try ApplyProgram.run(arguments)
        #expect(outcome.status == 0 && outcome.output.contains("Have the CA revoke a certificate"), "\(outcome.errors)")
    }

    @Test("A JSON plan has every documented key, with null where there is no value")
    func planAsJSON() throws {
        let outcome = try ApplyProgram.run(["--dry-run", "--format", "json", "-"], input: Self.good)
        let object = try #require(try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
        #expect(
            Set(object.keys) == [
                "format_version", "generation", "changes", "unmanaged", "errors", "warnings", "summary",
            ])
        let change = try #require((object["changes"] as? [[String: Any]])?.first)
        #expect(Set(change.keys) == ["action", "kind", "name", "fields", "reason"])
        #expect(change["reason"] is NSNull)
        let summary = try #require(object["summary"] as? [String: Int])
        #expect(Set(summary.keys) == ["create", "update", "delete", "issue", "renew", "upload", "order", "adopt"])
    }

    @Test("A dry run needs no secret, writes no file and uses no network", .enabled(if: !ApplyProgram.isSanitized))
    func dryRunTouchesNothing() throws {
        let folder = try TemporaryFolder()
        let file = Repository.path("examples/production.yaml")
        let trace = folder.path("trace")
        let calls = "trace=%file,%network,write,fsync,ftruncate,fallocate"
        let outcome = try ApplyProgram.run(
            ["--dry-run", file], in: folder.path, under: ["strace", "-f", "-o", trace, "-e", calls])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let lines = try String(contentsOfFile: trace, encoding: .utf8).split(separator: "\n")
        #expect(lines.contains { $0.contains("production.yaml") }, "strace has seen the program")
        for line in lines {
            for call in ["O_CREAT", "O_WRONLY", "O_RDWR", "mkdir", "rename", "unlink", "socket(", "connect(", "chmod"] {
                #expect(!line.contains(call), "\(line)")
            }
            // Dispatch wakes its own threads by writing a number to an eventfd.
            guard line.contains("write("), !line.contains(#", "\1\0\0\0\0\0\0\0""#) else { continue }
            #expect(line.contains("write(1, ") || line.contains("write(2, "), "\(line)")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["trace"])
    }

    @Test("A custom certificate that can't be read here is planned with a warning")
    func unreadableCertificate() throws {
        let folder = try TemporaryFolder()
        let text = "version: 1\ncertificates:\n  a: { source: custom, cert: { file: a.pem }, key: { env: A_KEY } }\n"
        let file = try folder.file("aegis.yaml", text)
        let without = try ApplyProgram.run(["--dry-run", file])
        #expect(without.status == 0)
        #expect(without.output.contains("+ certificate a: upload (known after apply)"))
        #expect(without.errors.contains(":3:30: warning: certificate 'a': cannot read 'a.pem': No such file"))
        #expect(without.errors.contains(":3:52: warning: certificate 'a': the variable A_KEY is not set"))
        _ = try folder.file("a.pem", "-")
        let with = try ApplyProgram.run(["--dry-run", file], environment: ["A_KEY": "x"])
        #expect(with.status == 3)
        #expect(with.errors.contains("will be refused: env A_KEY: no private key found"))
        #expect(with.output.contains("+ certificate a: upload\n"))
    }

    @Test("Output has colour only at a terminal, and not if NO_COLOR is set")
    func colour() throws {
        func run(_ environment: [String: String]) throws -> String {
            let command = "printf 'version: 1\\nfoo: 1\\n' | \(ApplyProgram.path) validate -"
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["script", "-qec", command, "/dev/null"]
            process.environment = ApplyProgram.environment.merging(["TERM": "xterm"]) { $1 }.merging(environment) { $1 }
            process.standardInput = FileHandle.nullDevice
            let pipe = Pipe()
            process.standardOutput = pipe
            try process.run()
            let output = pipe.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            return String(decoding: output, as: UTF8.self)
        }
        #expect(try run([:]).contains("\u{1B}[1;31merror:"))
        #expect(try !run(["NO_COLOR": "1"]).contains("\u{1B}"))
        #expect(try !run(["TERM": "dumb"]).contains("\u{1B}"))
        #expect(try !ApplyProgram.run(["validate", "-"], input: Self.bad).errors.contains("\u{1B}"))
    }

    @Test("The help text contains each option and command that people look for")
    func help() throws {
        let help = try ApplyProgram.run(["--help"]).output
        let words = [
            "--dry-run", "--preflight", "--format", "--detailed-exitcode", "validate", "schema", "Exit codes:", "65",
        ]
        for word in words {
            #expect(help.contains(word), "\(word)")
        }
        #expect(try ApplyProgram.run(["--version"]).output.hasPrefix("aegis-apply "))
    }

    @Test(
        "The examples are valid and cause no warning",
        arguments: ["aegis.yaml", "cloudflare.yaml", "mtls.yaml", "production.yaml"])
    func examples(_ name: String) throws {
        let outcome = try ApplyProgram.run(["validate", Repository.path("examples/\(name)")])
        #expect(outcome.status == 0)
        #expect(!outcome.errors.contains("warning: "))
        #expect(!outcome.errors.contains("error: "))
    }
}
