import Gateway
import Operations
import State
import Testing

@testable import AdminAPI

@Suite struct AccessTests {
    @Test("After ten wrong tokens in a minute a network must wait, and no other network")
    func waiting() {
        var wrong = WrongTokens()
        for second in 0..<10 {
            #expect(wrong.wait(of: 1, now: Int64(second)) == nil)
            wrong.note(1, now: Int64(second))
        }
        #expect(wrong.wait(of: 1, now: 10) == 50)
        #expect(wrong.wait(of: 1, now: 59) == 1)
        #expect(wrong.wait(of: 2, now: 10) == nil)
        #expect(wrong.wait(of: 1, now: 60) == nil)
        wrong.note(1, now: 60)
        #expect(wrong.wait(of: 1, now: 61) == nil)
    }

    @Test("If the clock is set back, nobody waits longer than a minute")
    func clockSetBack() {
        var wrong = WrongTokens()
        for _ in 0..<10 { wrong.note(1, now: 100_000) }
        #expect(wrong.wait(of: 1, now: 50) == 60)
        wrong.note(1, now: 50)
        #expect(wrong.wait(of: 1, now: 51) == nil)
    }

    @Test("The table of networks has a fixed size")
    func manyNetworks() {
        var wrong = WrongTokens()
        for _ in 0..<10 { wrong.note(0, now: 50) }
        for network in 1...5000 { wrong.note(UInt64(network), now: 10 + Int64(network) / 1000) }
        #expect(wrong.wait(of: 0, now: 50) != nil)
        #expect(wrong.count <= WrongTokens.mostNetworks)
    }

    @Test("Tokens have a fixed form and are all different")
    func texts() throws {
        let text = try AccessSecret.token.make()
        #expect(text.hasPrefix("aegis_"))
        #expect(text.utf8.count == 49)
        #expect(try AccessSecret.token.make() != text)
        #expect(AccessSecret.token.digest(of: text)?.count == 32)
        for other in [
            "", "aegis_", String(text.dropLast()), text + "A", "Aegis_" + text.dropFirst(6), text.dropLast() + "=",
        ] {
            #expect(AccessSecret.token.digest(of: String(other)) == nil)
        }
    }

    private func credentials(_ values: String...) -> Credentials {
        Credentials(AdminRequest(method: "GET", target: "/", fields: values.map { ("authorization", $0) }))
    }

    @Test("Credentials are exactly one bearer token, else unusable")
    func credentials() {
        #expect(credentials() == .none)
        #expect(credentials("Bearer abc") == .bearer("abc"))
        #expect(credentials("bearer  abc") == .bearer("abc"))
        #expect(credentials("Bearer") == .unusable)
        #expect(credentials("Basic abc") == .unusable)
        #expect(credentials("") == .unusable)
        #expect(credentials("Bearer abc", "Bearer abc") == .unusable)
    }

    @Test("A token is looked up by its digest")
    func tokens() throws {
        let texts = try (0..<3).map { _ in try AccessSecret.token.make() }
        let tokens = try texts.enumerated().map { index, text in
            AccessToken(
                name: "\(index)", scope: .read, digest: try #require(AccessSecret.token.digest(of: text)), createdAt: 0,
                createdBy: "", expiresAt: nil)
        }
        for (index, text) in texts.enumerated() { #expect(Credentials.token(text, among: tokens)?.name == "\(index)") }
        #expect(Credentials.token(try AccessSecret.token.make(), among: tokens) == nil)
        #expect(Credentials.token("aegis_", among: tokens) == nil)
        #expect(Credentials.token(texts[0], among: []) == nil)
    }

    @Test(
        "Only the API's own origin, and programs without an Origin, may make changes",
        arguments: [
            ([], true), ([("origin", "https://127.0.0.1:9443")], true),
            ([("origin", "https://127.0.0.1:9443"), ("sec-fetch-site", "same-origin")], true),
            ([("sec-fetch-site", "none")], true), ([("origin", "https://127.0.0.1:9444")], false),
            ([("origin", "https://127.0.0.1")], false), ([("origin", "http://127.0.0.1:9443")], false),
            ([("origin", "null")], false), ([("origin", "")], false), ([("origin", "https://127.0.0.1:9443/")], false),
            ([("origin", "https://127.0.0.1:9443"), ("origin", "https://evil.example")], false),
            ([("sec-fetch-site", "same-site")], false), ([("sec-fetch-site", "cross-site")], false),
            ([("origin", "https://127.0.0.1:9443"), ("sec-fetch-site", "same-site")], false),
        ] as [([(String, String)], Bool)])
    func origins(_ fields: [(String, String)], _ isMet: Bool) {
        let request = AdminRequest(
            method: "POST", target: "/api/v1/hosts", authority: "127.0.0.1:9443",
            fields: fields.map { (name: $0.0, value: $0.1) })
        #expect(OriginRule.isMet(by: request) == isMet)
    }
}
