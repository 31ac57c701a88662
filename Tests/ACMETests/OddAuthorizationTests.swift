import Testing

@testable import ACME

/// Authorizations that deviate from RFC 8555.
@Suite struct OddAuthorizationTests {
    private func authorization(_ text: String) throws -> ACMEAuthorization {
        try ACMEAuthorization(Array(text.utf8), url: ACMEURL("https://ca.test/authz/1"), retryAfter: nil)
    }

    struct OddAuthorization: Sendable, CustomTestStringConvertible {
        let members: String
        let status: ACMEAuthorization.Status?
        var challenges = 1
        var testDescription: String { members }
    }

    private static let good = Samples.challenge("http-01", 1)
    static let oddAuthorizations = [
        OddAuthorization(members: #""status": "PENDING", "challenges": [\#(good)]"#, status: .pending),
        OddAuthorization(members: #""challenges": [\#(good)]"#, status: .pending),
        OddAuthorization(members: #""status": null, "challenges": [\#(good)]"#, status: .pending),
        OddAuthorization(
            members: #""challenges": [\#(Samples.challenge("http-01", 1, status: "VALID"))]"#, status: .valid),
        OddAuthorization(
            members: #""challenges": [\#(Samples.challenge("http-01", 1, status: "invalid"))]"#, status: .invalid),
        OddAuthorization(
            members: #""status": "pending", "challenges": [null, 5, "x", [], {}, \#(good)]"#, status: .pending),
        OddAuthorization(
            members: #""status": "pending", "challenges": [{"type": "http-01", "token": "a"}, \#(good)]"#,
            status: .pending),
        OddAuthorization(
            members: #""status": "pending", "challenges": [{"type": "HTTP-01", "token": "a", "url": "/x"}]"#,
            status: .pending),
        OddAuthorization(members: #""status": "valid", "challenges": "none""#, status: .valid, challenges: 0),
        // These authorizations can't be read.
        OddAuthorization(members: #""status": "pending", "challenges": "none""#, status: nil),
        OddAuthorization(members: #""challenges": []"#, status: nil),
        OddAuthorization(members: #""status": "accepted", "challenges": [\#(good)]"#, status: nil),
        OddAuthorization(members: #""status": 7, "challenges": [\#(good)]"#, status: nil),
    ]

    @Test(
        "An odd but unambiguous authorization is read, with a warning", arguments: oddAuthorizations)
    func oddAuthorization(_ odd: OddAuthorization) throws {
        let text = #"{"identifier": {"type": "dns", "value": "a.test"}, \#(odd.members)}"#
        guard let status = odd.status else {
            #expect(throws: ACMEError.self) { try authorization(text) }
            return
        }
        let read = try authorization(text)
        #expect(read.status == status && read.challenges.count == odd.challenges)
        let isPlain = odd.members.contains("HTTP-01") && odd.members.contains("status\": \"pending")
        #expect(!read.oddities.isEmpty || isPlain)
    }

    @Test(
        "An authorization's name may include the wildcard, or be missing",
        arguments: [
            (#"{"type": "dns", "value": "*.a.test"}"#, "*.a.test"), (#"{"type": "DNS", "value": "a.test"}"#, "a.test"),
            ("null", nil), ("7", nil), (#"{"value": "a.test"}"#, nil),
        ])
    func oddIdentifier(_ identifier: String, _ name: String?) throws {
        let read = try authorization(#"{"identifier": \#(identifier), "status": "valid"}"#)
        #expect(read.identifier == nil ? name == nil : read.name == name)
        #expect(name == nil || read.identifier == .dns("a.test"))
    }
}
