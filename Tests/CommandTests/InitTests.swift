import Foundation
import TestSupport
import Testing

/// The first file, which `init` writes.
@Suite struct InitTests {
    /// The options for one source of certificates.
    struct Source: CustomTestStringConvertible {
        let name: String
        var options: [String] = []
        var domain = "app.example.com"
        var testDescription: String { name }
    }

    static let sources = [
        Source(name: "local", domain: "bücher.example"),
        Source(name: "letsencrypt", options: ["--email", "ops@example.com"]),
        Source(name: "cloudflare", options: ["--zone", "0123456789abcdef0123456789abcdef"], domain: "*.example.com"),
        Source(name: "files", options: ["--cert", "tls/a \"b\".pem", "--key", "tls/#1: key.pem"]),
    ]

    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func run(_ arguments: [String]) throws -> ApplyProgram.Outcome {
        let key = String(repeating: "0123456789abcdef", count: 4)
        return try ApplyProgram.run(arguments, in: folder.path, environment: ["AEGIS_SSL_KEY": key])
    }

    @Test(
        "init writes a valid, commented file for each source of certificates, and says what comes next",
        arguments: sources)
    func written(_ source: Source) throws {
        let made = try run(["init", "--domain", source.domain, "--certificates", source.name] + source.options)
        #expect(made.errors == "")
        #expect(made.status == 0)
        let text = try String(contentsOfFile: folder.path("aegis.yaml"), encoding: .utf8)
        for (name, actual) in [("yaml", text), ("txt", made.output)] {
            let path = Repository.path("Tests/Samples/starter/\(source.name).\(name)")
            #expect(try Golden.expected(at: path, recording: actual) == actual)
        }
        #expect(try run(["validate", "--strict"]).status == 0)
        #expect(
            try run(["init", "--domain", source.domain, "--certificates", source.name] + source.options).status == 1)
        #expect(try String(contentsOfFile: folder.path("aegis.yaml"), encoding: .utf8) == text)
    }

    @Test("A first file with the local CA can be applied unchanged")
    func applied() throws {
        #expect(try run(["init", "--domain", "app.test"]).status == 0)
        let outcome = try run([])
        #expect(outcome.output.contains("Applied generation 1: 3 created, 1 issued."))
        #expect(outcome.status == 0)
    }

    @Test("init accepts --config instead of --out, but not both")
    func config() throws {
        let made = try run(["init", "--domain", "app.test", "--config", "other.yaml"])
        #expect(made.errors == "")
        #expect(made.output.contains("Wrote other.yaml.") && made.output.contains("aegis-apply --config other.yaml"))
        #expect(try run(["validate", "--config", "other.yaml"]).status == 0)
        let twice = try run(["init", "--domain", "app.test", "--config", "a.yaml", "--out", "b.yaml"])
        #expect(twice.status == 64 && twice.errors.contains("Give the file once: --out FILE or --config FILE."))
        #expect(
            try run(["init", "--domain", "app.test", "--config", "other.yaml"]).errors.contains("'other.yaml' exists"))
    }

    @Test("--out - prints the file and writes nothing")
    func printed() throws {
        let outcome = try run(["init", "--domain", "app.test", "--out", "-"])
        #expect(outcome.output.contains("\n  - domain: \"app.test\"\n"))
        #expect(!outcome.output.contains("Next:"))
        #expect(!FileManager.default.fileExists(atPath: folder.path("aegis.yaml")))
    }

    /// Options with which `init` writes no file.
    struct Refusal: CustomTestStringConvertible {
        let options: [String]
        let status: Int32
        let message: String
        var testDescription: String { options.joined(separator: " ") }
    }

    @Test(
        "Options that make no valid file are refused with a reason, and nothing is written",
        arguments: [
            Refusal(options: [], status: 64, message: "--domain is missing, and there is no terminal to ask at"),
            Refusal(options: ["--domain", "a b"], status: 65, message: "--domain: bad host name 'a b'"),
            Refusal(options: ["--domain", "https://a.test"], status: 65, message: "write only its host name"),
            Refusal(
                options: ["--domain", "a.test", "--upstream", "ftp://a"], status: 65,
                message: "--upstream: unknown scheme 'ftp'"),
            Refusal(
                options: ["--domain", "a.test", "--certificates", "letsencrypt"], status: 64,
                message: "--email is missing"),
            Refusal(
                options: ["--domain", "*.a.test", "--certificates", "letsencrypt", "--email", "a@a.test"], status: 65,
                message: "wildcard '*.a.test' needs challenge dns-01"),
            Refusal(
                options: ["--domain", "a.test", "--certificates", "cloudflare", "--zone", "x"], status: 65,
                message: "zone"),
            Refusal(
                options: ["--domain", "a.test", "--email", "a@a.test"], status: 64,
                message: "--email goes with --certificates letsencrypt."),
            Refusal(
                options: ["--domain", "a.test", "--out", "none/x.yaml"], status: 1,
                message: "cannot write 'none/x.yaml'"),
        ])
    func refused(_ refusal: Refusal) throws {
        let outcome = try run(["init"] + refusal.options)
        #expect(outcome.errors.contains(refusal.message))
        #expect(outcome.status == refusal.status)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    /// Answers at a terminal, some of which are refused.
    struct Answers: CustomTestStringConvertible {
        let lines: [String]
        /// Texts that the program must print, in this order.
        let said: [String]
        let written: String
        var testDescription: String { lines.joined(separator: ", ") }
    }

    @Test(
        "At a terminal init asks, and asks again after an invalid answer",
        arguments: [
            Answers(
                lines: ["a b", "app.test", "", "locl", "local"],
                said: [
                    "The host's name, such as app.example.com: ", "bad host name 'a b'", "[http://127.0.0.1:3000]: ",
                    "there is no source 'locl'", "Wrote aegis.yaml.",
                ], written: "upstreams: [\"http://127.0.0.1:3000\"]"),
            Answers(
                lines: ["app.example.com", "", "letsencrypt", "nobody", "ops@example.com"],
                said: ["Whom Let's Encrypt may write to: ", "bad", "Whom Let's Encrypt may write to: ", "Wrote"],
                written: "email: \"ops@example.com\""),
            Answers(
                lines: ["app.example.com", "", "cloudflare", "x", "0123456789abcdef0123456789abcdef"],
                said: ["The zone's identifier: ", "bad", "The zone's identifier: ", "Wrote"],
                written: "zone_id: \"0123456789abcdef0123456789abcdef\""),
            Answers(
                lines: ["*.example.com", "", "letsencrypt", "local"],
                said: [
                    "letsencrypt, cloudflare or files [local]: ", "wildcard '*.example.com' needs challenge dns-01",
                    "letsencrypt, cloudflare or files [local]: ", "Wrote",
                ], written: "type: local_ca"),
        ])
    func asked(_ answers: Answers) throws {
        let input = answers.lines.map { $0 + "\\n" }.joined()
        let command = "cd \(folder.path) && \(ApplyProgram.path) init"
        // printf writes the answers, and script(1) passes them to the program as the input of a terminal.
        let process = try Tool.run("sh", "-c", "printf '\(input)' | script -qec '\(command)' /dev/null")
        #expect(process.status == 0)
        var rest = process.output[...]
        for text in answers.said {
            let range = try #require(rest.firstRange(of: text), "\(text): \(process.output)")
            rest = rest[range.upperBound...]
        }
        let text = try String(contentsOfFile: folder.path("aegis.yaml"), encoding: .utf8)
        #expect(text.contains(answers.written))
    }
}
