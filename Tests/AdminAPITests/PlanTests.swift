import ConfigModel
import Foundation
import Gateway
import State
import Testing

@testable import AdminAPI

@Suite struct PlanTests {
    private let fixture: APIFixture
    private let token: String

    init() throws {
        fixture = try APIFixture()
        token = try fixture.token()
    }

    private func plan(_ text: String, type: String = "application/yaml", mayChange: Bool = true) -> AdminResponse {
        fixture.ask(
            "/api/v1/plan", token, method: "POST", fields: [("content-type", type)], mayChange: mayChange, body: text)
    }

    @Test("A token for reading gets the plan of a file, and nothing changes, even where the API may change nothing")
    func plans() throws {
        let revision = try fixture.store.revision()
        for mayChange in [true, false] {
            let answer = plan("version: 1\nhosts: [{ domain: a.test, respond: {} }]\n", mayChange: mayChange)
            #expect(answer.status == 200 && answer["Content-Type"] == "application/json")
            #expect(answer.text.contains(#""action":"create","kind":"host","name":"a.test""#))
        }
        #expect(try fixture.store.revision() == revision)
        #expect(try fixture.store.events(EventQuery()).allSatisfy { $0.event.action == "create-token" })
    }

    @Test("The plan has the secrets of neither the file nor the state")
    func secrets() throws {
        try fixture.commit(.putCertificate(try fixture.certificate("own")))
        let answer = plan(
            """
            version: 1
            encryption: { key: "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a" }
            hosts:
              - { domain: a.test, respond: {}, headers: { request: { set: { authorization: "Basic CANARY" } } } }
            """)
        #expect(answer.status == 200)
        for secret in ["SEALED-KEY-CANARY", "5a5a5a"] { #expect(!answer.text.contains(secret)) }
    }

    @Test("The operator's own certificates count as unchanged, and no file is read")
    func ownCertificates() throws {
        let text = """
            version: 1
            certificates: { own: { source: custom, cert: { file: /etc/hostname }, key: { file: /etc/shadow } } }
            hosts: [{ domain: own, ssl_mode: custom, certificate: own, respond: {} }]
            """
        let answer = plan(text)
        #expect(answer.status == 200)
        #expect(answer.text.contains("known after apply"))
        #expect(!answer.text.contains("hostname") || !answer.text.contains("cannot"))
    }

    @Test("Errors of the file are told with their lines")
    func errors() throws {
        let answer = plan("version: 1\nhosts:\n  - { domain: a.test, respond: {}, colour: red }\n")
        #expect(answer.problem == "invalid")
        #expect(answer.text.contains(#""line":3"#) && answer.text.contains("colour"))
        #expect(plan("a: [").problem == "invalid")
        #expect(plan("").problem == "invalid")
    }

    @Test("Only YAML is taken, by POST alone")
    func types() throws {
        #expect(plan("version: 1", type: "text/plain").problem == "unsupported-type")
        #expect(plan("{}", type: "application/json").problem == "unsupported-type")
        #expect(fixture.ask("/api/v1/plan", token).problem == "method-not-allowed")
    }

    @Test("The begun orders of the API are none of the file's business, but those of issuers are")
    func orders() throws {
        for (name, issuer) in [("ordered", ""), ("left", "cf")] {
            _ = try fixture.store.acquireLease(
                .certificate(name), for: fixture.holder, now: fixture.now, isFree: { _ in false })
            try fixture.store.putOrder(
                PendingOrder(
                    certificate: name, issuer: issuer, directory: "https://cf.test/ origin-rsa", domains: ["a.test"],
                    sealedKey: [1], request: [2], createdAt: fixture.now), by: fixture.holder)
        }
        let answer = plan("version: 1\nhosts: []\n").text
        #expect(answer.contains(#""name":"left""#) && !answer.contains("ordered"), "\(answer)")
    }

    @Test("What an apply would refuse is an error in the plan")
    func refusals() throws {
        for number in 0..<12 {
            try fixture.commit(
                .putItem(
                    ItemID(.host, "h\(number).test"), owner: .file,
                    record: Array(#"{"domain":"h\#(number).test","respond":{}}"#.utf8)))
        }
        let answer = plan("version: 1\nhosts: []\n")
        #expect(answer.text.contains("12 of the 12 names of the enabled hosts would be deleted or disabled"))
    }
}
