import ACME
import HTTPClient
import State
import Testing

@testable import ConfigModel
@testable import DNS
@testable import Issuers

@Suite struct CAAPolicyTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let title: String
        let records: [DNSLookup.CAARecord]
        var isWildcard = false
        var method = ACMEIssuer.Challenge.http01
        var identities = ["ca.example", "CA.example.net"]
        var account: String? = "https://ca.example/acct/1"
        /// The reason why the CA may not issue; nil if it may.
        let objection: String?
        var testDescription: String { title }
    }

    private static func record(_ tag: String, _ value: String, _ flags: UInt8 = 0) -> DNSLookup.CAARecord {
        DNSLookup.CAARecord(flags: flags, tag: tag, value: value)
    }

    static let cases = [
        Case(title: "no record that matters", records: [record("iodef", "mailto:a@b.example")], objection: nil),
        Case(title: "the CA itself", records: [record("issue", "ca.example")], objection: nil),
        Case(title: "in other letters", records: [record("issue", " CA.Example ")], objection: nil),
        Case(title: "by its other name", records: [record("issue", "ca.example.net;")], objection: nil),
        Case(
            title: "one of several", records: [record("issue", "other.example"), record("issue", "ca.example")],
            objection: nil),
        Case(
            title: "another CA", records: [record("issue", "other.example")],
            objection: "let only other.example issue, and the CA is ca.example, ca.example.net"),
        Case(title: "nobody", records: [record("issue", ";")], objection: "let no CA issue"),
        Case(title: "nobody, in no words", records: [record("issue", "")], objection: "let no CA issue"),
        Case(title: "what breaks the grammar", records: [record("issue", "%%%%%")], objection: "let no CA issue"),
        Case(
            title: "a broken parameter", records: [record("issue", "ca.example; account")],
            objection: "let no CA issue"),
        Case(
            title: "a wildcard, by the rule for all names", records: [record("issue", "other.example")],
            isWildcard: true,
            objection: "let only other.example issue wildcards, and the CA is ca.example, ca.example.net"),
        Case(
            title: "a wildcard, by its own rule",
            records: [record("issue", "other.example"), record("issuewild", "ca.example")], isWildcard: true,
            objection: nil),
        Case(
            title: "a wildcard, forbidden", records: [record("issue", "ca.example"), record("issuewild", ";")],
            isWildcard: true, objection: "let no CA issue wildcards"),
        Case(
            title: "no wildcard, whatever holds for those",
            records: [record("issue", "ca.example"), record("issuewild", ";")], objection: nil),
        Case(title: "only wildcards are restricted", records: [record("issuewild", ";")], objection: nil),
        Case(
            title: "an unknown property that is critical",
            records: [record("issue", "ca.example"), record("future\u{1B}", "x", 128)],
            objection: "have the critical property 'future\u{FFFD}', which a CA that does not know it stops at"),
        Case(
            title: "an unknown property that is not", records: [record("issue", "ca.example"), record("future", "x")],
            objection: nil),
        Case(title: "a known property that is critical", records: [record("issue", "ca.example", 128)], objection: nil),
        Case(
            title: "our account",
            records: [record("issue", "ca.example; accounturi = https://ca.example/acct/1; other=1")],
            objection: nil),
        Case(
            title: "another account", records: [record("issue", "ca.example; accounturi=https://ca.example/acct/2")],
            objection: "let ca.example issue only for the account https://ca.example/acct/2, and ours is "
                + "https://ca.example/acct/1"),
        Case(
            title: "an account, before we have one", records: [record("issue", "ca.example; accounturi=")],
            account: nil, objection: "let ca.example issue only for the account , and we have none yet"),
        Case(
            title: "two accounts at once",
            records: [record("issue", "ca.example; accounturi=https://ca.example/acct/1; accounturi=x")],
            objection: "let ca.example issue only for the account https://ca.example/acct/1 and x, and ours is "
                + "https://ca.example/acct/1"),
        Case(
            title: "either of two accounts",
            records: [
                record("issue", "ca.example; accounturi=https://ca.example/acct/2"),
                record("issue", "ca.example; accounturi=https://ca.example/acct/1"),
            ], objection: nil),
        Case(
            title: "our method",
            records: [record("issue", "ca.example;validationmethods=dns-01,http-01")], objection: nil),
        Case(
            title: "another method", records: [record("issue", "ca.example; validationmethods=dns-01")],
            objection: "let ca.example issue only by dns-01, and its challenge is http-01"),
        Case(
            title: "no method", records: [record("issue", "ca.example; validationmethods=")], method: .dns01,
            objection: "let ca.example issue only by none, and its challenge is dns-01"),
        Case(
            title: "a CA without a name", records: [record("issue", "other.example")], identities: [],
            objection: "let only other.example issue, and the CA does not say by which name it goes"),
        Case(
            title: "a CA without a name, where nobody may", records: [record("issue", ";")], identities: [],
            objection: "let no CA issue"),
    ]

    @Test("CAA records are judged as a CA judges them", arguments: cases)
    func policies(_ test: Case) {
        let issuance = CAAPolicy.Issuance(
            identities: test.identities, account: test.account, method: test.method, isWildcard: test.isWildcard)
        #expect(CAAPolicy(records: test.records).objection(to: issuance) == test.objection)
    }

    @Test(
        "A malformed issue property allows no CA",
        arguments: ["a..b", "-a", "a-", "ca.example x", "ca.example; =1", "ca.example; a=b c", "ca.example;; a=b", "ä"])
    func brokenValues(_ text: String) { #expect(CAAIssueValue(text) == nil) }
}

@Suite struct PreflightTests {
    @Test("The answer to a probe is bound to one gateway and one token")
    func probes() {
        let token = Array(GatewayProbe.makeToken().utf8)
        #expect(GatewayProbe.isToken(token))
        #expect(ACMEChallenge.isToken(token))
        let answer = GatewayProbe.answer(to: token, from: "a")
        #expect(answer == GatewayProbe.answer(to: token, from: "a"))
        #expect(answer != GatewayProbe.answer(to: token, from: "b"))
        #expect(answer != GatewayProbe.answer(to: Array(GatewayProbe.makeToken().utf8), from: "a"))
        for count in token.indices { #expect(!GatewayProbe.isToken(Array(token[..<count]))) }
        #expect(!GatewayProbe.isToken(token.dropLast() + Array("G".utf8)))
    }

    @Test("A wrong answer to a probe is described in the warning")
    func answers() {
        let probe = ChallengeProbe(token: "t", answers: [Array("ours".utf8)], port: 80, timeout: .seconds(1))
        #expect(probe.objection(to: HTTPResponse(status: 200, body: Array("ours".utf8))) == nil)
        #expect(
            probe.objection(to: HTTPResponse(status: 404, body: Array("ours".utf8)))?.text
                == "it is not our gateway that answers, but HTTP 404")
        #expect(probe.objection(to: HTTPResponse(status: 200))?.text.hasSuffix("HTTP 200") == true)
        let location = HTTPField("location", "https://a.example/\u{1B}[1m")
        #expect(
            probe.objection(to: HTTPResponse(status: 301, fields: [location]))?.text
                == "it is not our gateway that answers, but HTTP 301 to https://a.example/\u{FFFD}[1m")
    }

    private func checks(_ needs: [WantedCertificate]) throws -> PreflightChecks {
        try PreflightChecks(
            for: needs, outside: .init(), secrets: SecretReader(directory: "."), store: nil, now: 0
        ) { () throws(IssuanceFailure) in throw IssuanceFailure("no") }
    }

    @Test("A plan beyond a CA's limits names the orders that must wait, even without a state")
    func limits() throws {
        let settings = ACMEIssuer(
            directory: ServiceURL("https://acme-v02.api.letsencrypt.org/directory"), challenge: .tlsALPN01)
        let issuer = Issuer(name: "le", origin: .none, kind: settings)
        let needs = (0..<52).map { number in
            (
                need: WantedCertificate(name: "c\(number)", names: ["n\(number).example.com"], issuers: [issuer]),
                origin: SourceOrigin.none, isRenewal: false
            )
        }
        let warnings = try checks([]).limitWarnings(needs, with: [])
        #expect(warnings.count == 2)
        #expect(
            warnings.first?.message
                == "certificate 'c50', issuer 'le': the limit of certificates for example.com (50 in 7 days) is reached;"
                + " not before 1970-01-01 03:21:36 UTC")
    }

    @Test("If nothing can answer the probe, only that is reported")
    func noAnswerer() throws {
        let settings = ACMEIssuer(directory: ServiceURL("https://localhost/"))
        let issuer = Issuer(name: "i", origin: .none, kind: settings)
        let need = WantedCertificate(name: "c", names: ["a.example"], issuers: [issuer])
        #expect(try checks([need]).warnings.map(\.message) == ["http-01 was not tried: no"])
    }
}
