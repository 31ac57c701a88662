import ACME
import ConfigModel
import Foundation
import PKI
import Testing

@testable import Issuers

/// What went wrong at a CA, as operators and the schedule get it.
@Suite struct FailureTests {
    private static func refusal(retryAfter: Duration?) throws -> ACMEError {
        let body = #"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}"#
        let edge = RefusingEdge(
            response: ACMEHTTPResponse(
                status: 429, retryAfter: retryAfter.map { "\($0.components.seconds)" }, body: Array(body.utf8)))
        let client = try ACMEClient(
            directory: ACMEURL("https://ca.test/directory"), key: PrivateKey.generate(.ecdsaP256), edge: edge,
            wait: { _ in }, now: { 1000 })
        return try #require(#expect(throws: ACMEError.self) { try client.directory() })
    }

    private struct RefusingEdge: ACMEEdge {
        let response: ACMEHTTPResponse
        func send(_ request: ACMEHTTPRequest) throws -> ACMEHTTPResponse { response }
    }

    @Test(
        "A refusal says when to come again: as the CA has it, but after a day at most",
        arguments: [(7200, 8200), (86_400 * 30, 87_400), (nil, nil)] as [(Int64?, Int64?)])
    func retryAfter(_ wait: Int64?, _ notBefore: Int64?) throws {
        let error = try Self.refusal(retryAfter: wait.map { .seconds($0) })
        #expect(IssuanceFailure(error, now: 1000).notBefore == notBefore)
        #expect(IssuanceFailure(IssuanceFailure("x", notBefore: 5), now: 1000) == IssuanceFailure("x", notBefore: 5))
    }

    @Test(
        "A secret that a server quotes is hidden, however it writes slashes",
        arguments: [
            ("bad key can/ary!", "bad key ****!"), (#"{"sent": "Bearer can\/ary"}"#, #"{"sent": "Bearer ****"}"#),
            ("can/arycan/ary", "********"), ("can/ar", "can/ar"), ("", ""),
        ])
    func hidden(text: String, expected: String) {
        let mask = SecretMask([SecretBytes(Array("can/ary".utf8)), SecretBytes([])])
        #expect(String(decoding: mask.hiding(in: Array(text.utf8)), as: UTF8.self) == expected)
        let failure = mask.hiding(in: IssuanceFailure(text, hint: text, notBefore: 7))
        #expect(failure == IssuanceFailure(expected, hint: expected, notBefore: 7))
    }

    @Test("What an issuer refers to is known to its mask")
    func issuer() throws {
        let record = """
            {"type":"acme","directory":"https://ca.test/dir","challenge":"dns-01",
            "eab":{"kid":"k","hmac_key":"canary-one"},
            "dns":{"provider":"webhook","url":"https://dns.test/","token":"canary-two"}}
            """
        guard case .acme(let settings)? = Issuer(record: Array(record.utf8))?.kind else {
            Issue.record("that is no issuer")
            return
        }
        let mask = SecretMask(settings, SecretReader(directory: "."))
        #expect(mask.hiding(in: IssuanceFailure("canary-one, canary-two")).reason == "****, ****")
    }
}
