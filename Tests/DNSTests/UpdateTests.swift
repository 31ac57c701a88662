import Glibc
import PKI
import Testing

@testable import DNS

@Suite struct UpdateTests {
    private let server: NameServer

    init() throws { server = try NameServer.shared.get() }

    private func updater(
        _ key: DNSUpdateKey?, at server: DNSServer? = nil, zone: String = "signed.test"
    ) throws -> DNSUpdater {
        try DNSUpdater(server: server ?? self.server.knot, zone: zone, key: key, timeout: .seconds(10))
    }

    @Test(
        "One of several TXT values is added and removed, with each kind of key",
        arguments: DNSUpdateKey.Algorithm.allCases)
    func addsAndRemoves(_ algorithm: DNSUpdateKey.Algorithm) throws {
        let updater = try updater(NameServer.key(algorithm.rawValue, algorithm))
        let name = "_acme-challenge.\(algorithm.rawValue).signed.test"
        for text in ["first", "second", "second", "\"quoted\" \\ and ;"] {
            try updater.add(txt: text, at: name, timeToLive: 1)
        }
        #expect(try Set(server.lookup.txt(name)) == ["first", "second", "\"quoted\" \\ and ;"])
        try updater.remove(txt: "first", at: name)
        try updater.remove(txt: "never there", at: name)
        #expect(try Set(server.lookup.txt(name)) == ["second", "\"quoted\" \\ and ;"])
        try updater.remove(txt: "second", at: name)
        try updater.remove(txt: "\"quoted\" \\ and ;", at: name)
        #expect(try server.lookup.txt(name).isEmpty)
    }

    @Test("A zone that accepts unsigned updates gets them")
    func unsignedZone() throws {
        let updater = try updater(nil, zone: "Open.test.")
        try updater.add(txt: "here", at: "_acme-challenge.OPEN.test", timeToLive: 60)
        #expect(try server.lookup.txt("_acme-challenge.open.test") == ["here"])
    }

    @Test("An answer that is too large for a datagram is fetched over TCP")
    func largeAnswer() throws {
        let updater = try updater(NameServer.key("hmac-sha256"))
        let texts = (0..<20).map { "\($0) " + String(repeating: "x", count: 300) }
        for text in texts { try updater.add(txt: text, at: "large.signed.test", timeToLive: 60) }
        #expect(try Set(server.lookup.txt("large.signed.test")) == Set(texts))
    }

    @Test("A refused update is reported with the server's reason")
    func refusals() throws {
        func failure(_ key: DNSUpdateKey?, zone: String = "signed.test") throws -> String? {
            let updater = try updater(key, zone: zone)
            let place = "\(server.knot): updating '\(zone)': "
            let failure = #expect(throws: DNSFailure.self) {
                try updater.add(txt: "x", at: "_acme-challenge.\(zone)", timeToLive: 60)
            }
            return failure?.description.replacing(place, with: "")
        }
        let denied = "NOTAUTH: the server has no authority, or we don't"
        let unknown = "or not with this algorithm, or not for this"
        #expect(
            try failure(NameServer.key("unknown"))
                == "\(denied) (the server does not know the TSIG key 'unknown', \(unknown))")
        #expect(
            try failure(NameServer.key("hmac-sha256", .sha512))
                == "\(denied) (the server does not know the TSIG key 'hmac-sha256', \(unknown))")
        #expect(
            try failure(NameServer.key("useless"))
                == "\(denied) (the server does not know the TSIG key 'useless', \(unknown))")
        let wrong = try NameServer.key("hmac-sha256", secret: SecretBytes(Array("d3Jvbmc=".utf8)))
        #expect(try failure(wrong) == "\(denied) (the secret of the TSIG key 'hmac-sha256' is not the server's)")
        #expect(try failure(nil) == "\(denied) (does it take updates of 'signed.test' without a TSIG key?)")
        #expect(
            try failure(NameServer.key("hmac-sha256"), zone: "else.test") == """
                \(denied) (is it the primary server of 'else.test', and may the TSIG key 'hmac-sha256' update this \
                name?)
                """)
    }

    @Test("An answer without a valid signature is ignored")
    func answersAreChecked() throws {
        func reason(_ server: DNSServer) throws -> String? {
            let updater = try updater(NameServer.key("hmac-sha256"), at: server)
            return #expect(throws: DNSFailure.self) {
                try updater.add(txt: "x", at: "_acme-challenge.signed.test", timeToLive: 60)
            }?.reason
        }
        let doubt = "updating 'signed.test': the answer can't be trusted"
        #expect(try reason(server.unsigned) == "\(server.unsigned): \(doubt): it is not signed")
        #expect(try reason(server.spoiled) == "\(server.spoiled): \(doubt): its signature is wrong")
        let noisy = try updater(NameServer.key("hmac-sha256"), at: server.noisy)
        try noisy.add(txt: "noisy", at: "noisy.signed.test", timeToLive: 60)
    }

    @Test("A signature is valid only for its time, its key's name and the answered message")
    func signatures() throws {
        let name = try DNSName("_acme-challenge.signed.test")
        let message = try DNSMessage.update(zone: DNSName("signed.test"), name: name, txt: "x", timeToLive: 60)
        let signature = TSIG(key: try NameServer.key("hmac-sha256"))
        let exchange = DNSExchange(server: server.knot, timeout: .seconds(20))
        let now = Int64(time(nil))

        let (bytes, code) = try signature.signed(message.bytes, now: now)
        let (answer, answered) = try exchange.send(message, bytes)
        try signature.check(answer, in: answered, to: code, now: now)
        #expect(throws: TSIG.Fault.wrongTime) {
            try signature.check(answer, in: answered, to: code, now: now + 3600)
        }
        #expect(throws: TSIG.Fault.wrongCode) {
            try signature.check(answer, in: answered, to: code.reversed(), now: now)
        }
        let others = [try NameServer.key("useless"), try NameServer.key("hmac-sha256", .sha384)]
        for other in others {
            #expect(throws: TSIG.Fault.otherKey) {
                try TSIG(key: other).check(answer, in: answered, to: code, now: now)
            }
        }
        let (late, _) = try signature.signed(message.bytes, now: now - 3600)
        let (refusal, _) = try exchange.send(message, late)
        #expect(refusal.code == 9 && TSIG.error(of: refusal) == 18)
    }

    @Test("An impossible update sends nothing")
    func refusedHere() throws {
        let updater = try updater(nil)
        for name in ["_acme-challenge.else.test", "xsigned.test", "a b.signed.test", ""] {
            #expect(throws: DNSFailure.self) { try updater.add(txt: "x", at: name, timeToLive: 1) }
        }
        #expect(throws: DNSFailure.self) {
            try updater.add(txt: String(repeating: "x", count: 5000), at: "a.signed.test", timeToLive: 1)
        }
        #expect(throws: DNSFailure("the secret of the TSIG key 'k' is not base64")) {
            try NameServer.key("k", secret: SecretBytes(Array("canary!".utf8)))
        }
        #expect(!String(reflecting: try NameServer.key("k")).contains("c2Vjc"))
    }
}
