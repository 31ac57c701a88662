import Foundation
import Materials
import PKI
import Testing

/// A form in which PEM is written into an environment variable.
struct VariableForm: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let write: @Sendable (String) -> String

    static let good = [
        VariableForm(testDescription: "as it is") { $0 },
        VariableForm(testDescription: "with CRLF") { $0.replacing("\n", with: "\r\n") },
        VariableForm(testDescription: "with \\n of two characters") { $0.replacing("\n", with: "\\n") },
        VariableForm(testDescription: "with \\r\\n of four characters") { $0.replacing("\n", with: "\\r\\n") },
        VariableForm(testDescription: "without the last line end") { String($0.dropLast()) },
        VariableForm(testDescription: "with blanks around it") { " \n\($0)\n\n" },
        VariableForm(testDescription: "as base64") { Data($0.utf8).base64EncodedString() },
        VariableForm(testDescription: "as base64 without padding") {
            Data($0.utf8).base64EncodedString().replacing("=", with: "")
        },
        VariableForm(testDescription: "as base64 in lines") {
            Data($0.utf8).base64EncodedString(options: [.lineLength76Characters, .endLineWithLineFeed]) + "\n"
        },
        VariableForm(testDescription: "as base64 with \\n of two characters") {
            Data($0.utf8).base64EncodedString(options: [.lineLength64Characters, .endLineWithLineFeed])
                .replacing("\n", with: "\\n")
        },
        VariableForm(testDescription: "as base64 of CRLF") {
            Data($0.replacing("\n", with: "\r\n").utf8).base64EncodedString()
        },
    ]
}

struct VariableIdentityTests {
    private let now = IdentityFixture.now
    private var fixture: IdentityFixture
    private let pair: IdentityFixture.Pair

    init() throws {
        fixture = try IdentityFixture()
        pair = try fixture.pair()
    }

    private func values(_ write: (String) -> String = { $0 }) throws -> [String: String] {
        [
            "AEGIS_TLS_CERT": write(pair.certificate.pem), "AEGIS_TLS_KEY": write(try pair.keyText),
            "AEGIS_TLS_CA": write(fixture.authority.certificate.pem),
        ]
    }

    private mutating func read(_ values: [String: String]) -> KeptIdentity {
        KeptIdentity(.defaultVariables, &fixture.files, now: now) { name in
            values[name].map { SecretBytes(Array($0.utf8)) }
        }
    }

    @Test("Variables may contain PEM in each common form", arguments: VariableForm.good)
    mutating func good(_ form: VariableForm) throws {
        let kept = read(try values(form.write))
        #expect(kept.failure == nil)
        #expect(kept.identity?.chain.leaf == pair.certificate)
        #expect(kept.identity?.authorities == [fixture.authority.certificate.der])
    }

    struct Fault: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let reason: String
        let ruin: @Sendable (String) -> String?
    }

    static let faults = [
        Fault(testDescription: "none", reason: "the variable AEGIS_TLS_KEY is not set") { _ in nil },
        Fault(testDescription: "a text", reason: "its value is neither PEM nor base64 of PEM") { _ in "s3cret!" },
        Fault(testDescription: "base64 of a text", reason: "its value is base64, but of something other than PEM") {
            _ in
            Data("s3cret".utf8).base64EncodedString()
        },
        Fault(testDescription: "lines joined by blanks", reason: "its lines have been joined to one: ") {
            $0.replacing("\n", with: " ")
        },
        Fault(testDescription: "joined lines with an end", reason: "its lines have been joined to one: ") {
            $0.replacing("\n", with: "") + "\n"
        },
        Fault(testDescription: "half of it", reason: "the PEM text is malformed") { String($0.prefix(100)) },
        Fault(testDescription: "half of it in base64", reason: "the PEM text is malformed") {
            Data(String($0.prefix(100)).utf8).base64EncodedString()
        },
        Fault(testDescription: "too much", reason: "its value is larger than 1 MiB") {
            $0 + String(repeating: "\n", count: 2 << 20)
        },
    ]

    @Test("An error names the variable and does not show its value", arguments: faults)
    mutating func fault(_ fault: Fault) throws {
        var values = try values()
        let key = try pair.keyText
        values["AEGIS_TLS_KEY"] = fault.ruin(key)
        let kept = read(values)
        #expect(kept.identity == nil)
        let reason = try #require(kept.failure?.reason)
        #expect(reason.hasPrefix("the variable AEGIS_TLS_KEY"))
        #expect(reason.contains(fault.reason), "\(reason)")
        let lines = key.split(separator: "\n").dropFirst().dropLast().map { String($0.prefix(12)) }
        for secret in ["s3cret", "czNjcmV0"] + lines { #expect(!reason.contains(secret)) }
    }

    @Test("Variables are read once")
    mutating func once() throws {
        var kept = read([:])
        #expect(kept.look([], fixture.files, now: now + 1) == false)
        #expect(kept.failure?.reason == "the variable AEGIS_TLS_CERT is not set")
    }

    @Test("The process's own variables are read by default")
    mutating func environment() throws {
        // This is safe, since the call copies both texts, and no other test here uses the environment.
        for (name, value) in try values() { _ = unsafe setenv("MATERIALS_TESTS_\(name)", value, 1) }
        let source = IdentitySource.variables(
            certificate: "MATERIALS_TESTS_AEGIS_TLS_CERT", key: "MATERIALS_TESTS_AEGIS_TLS_KEY",
            authorities: "MATERIALS_TESTS_AEGIS_TLS_CA")
        let kept = KeptIdentity(source, &fixture.files, now: now)
        #expect(kept.identity?.chain.leaf == pair.certificate)
    }
}
