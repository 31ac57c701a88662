import PKI
import Testing

@testable import ACME

@Suite struct ChainTests {
    /// A chain that leads to a root of this name.
    private static func chain(_ root: String) throws -> String {
        let authority = try CertificateAuthority.makeRoot(commonName: root, now: ScriptedEdge.now)
        return try authority.issue(
            for: ScriptedEdge.ecKey.get(), names: ClientTests.names, now: ScriptedEdge.now, lifetimeSeconds: 86_400
        ).pem
    }

    private static func answer(_ chain: String, alternates: [String] = []) -> ScriptedEdge.Answer {
        let links = alternates.map { WebLink(target: $0, relations: ["alternate"]) }
        return .response(
            ACMEHTTPResponse(
                status: 200, links: [WebLink(target: "http://ca.test/directory", relations: ["index"])] + links,
                body: Array(chain.utf8)))
    }

    /// Downloads the chain. Returns it with the warnings that operators read.
    private static func got(
        from edge: ScriptedEdge, preferring wish: String?, faulty: String? = nil
    ) throws -> (chain: CertificateChain, doubts: [String]) {
        try edge.client().chain(of: order(), preferring: wish) { pem, _ in
            let chain = try CertificateChain(pem: pem)
            let root = chain.certificates.last?.issuerCommonName
            return ACMEClient.Offer(
                chain, authorities: [root].compactMap(\.self), fault: root == faulty ? "it is faulty" : nil)
        }
    }

    private static func order() throws -> ACMEOrder {
        try ACMEOrder(
            Array(Samples.order("valid", more: #", "certificate": "https://ca.test/cert/1""#).utf8),
            url: ACMEURL("https://ca.test/order/1"), from: ACMEURL("https://ca.test/order/1"), retryAfter: nil)
    }

    @Test("The client chooses the chain to the preferred root, else the CA's default chain")
    func preferred() throws {
        let chains = try ["Root A", "Root B", "Root C"].map(Self.chain)
        let alternates = ["https://ca.test/cert/1/b", "https://ca.test/cert/1/c"]
        for (wish, index, asked) in [
            (nil, 0, 1), ("Root A", 0, 1), ("Root B", 1, 2), ("Root C", 2, 3), ("Root X", 0, 3),
        ] {
            let script = [Self.answer(chains[0], alternates: alternates)] + chains[1..<asked].map { Self.answer($0) }
            let edge = ScriptedEdge(script)
            let got = try Self.got(from: edge, preferring: wish)
            #expect(got.chain.pem == chains[index])
            #expect(got.doubts.count == (wish == "Root X" ? 1 : 0))
            #expect(edge.requests.count == asked)
            #expect(edge.requests.allSatisfy { $0.accept == "application/pem-certificate-chain" })
        }
    }

    @Test("If a CA's own chain is faulty, a good alternate replaces it, the preferred one if there are several")
    func faulty() throws {
        let chains = try ["Root A", "Root B", "Root C"].map(Self.chain)
        let alternates = ["https://ca.test/cert/1/b", "https://ca.test/cert/1/c"]
        let since = "has an alternate chain of the CA, since clients would refuse its own one: it is faulty"
        let other = "the alternate chain at '\(alternates[0])' does not lead to it; and 1 more are of no use either"
        for (wish, index, asked, doubts) in [
            (nil, 1, 2, [since]), ("Root B", 1, 2, []), ("Root C", 2, 3, []),
            ("Root A", 1, 3, ["has a chain of the CA, not preferred_chain 'Root A': " + other, since]),
            ("Root X", 1, 3, ["has a chain of the CA, not preferred_chain 'Root X': " + other, since]),
        ] as [(String?, Int, Int, [String])] {
            let script = [Self.answer(chains[0], alternates: alternates)] + chains[1..<asked].map { Self.answer($0) }
            let edge = ScriptedEdge(script)
            let got = try Self.got(from: edge, preferring: wish, faulty: "Root A")
            #expect(got.chain.pem == chains[index] && got.doubts == doubts && edge.requests.count == asked)
        }
        // Without a good alternate, the CA's own chain is used. The caller judges and reports its fault.
        for (wish, alternates, doubts) in [
            (nil, [], 0), ("Root A", [], 0), (nil, ["http://other.test/b"], 0), ("Root A", ["http://other.test/b"], 0),
            ("Root B", ["http://other.test/b"], 1),
        ] as [(String?, [String], Int)] {
            let edge = ScriptedEdge([Self.answer(chains[0], alternates: alternates)])
            let got = try Self.got(from: edge, preferring: wish, faulty: "Root A")
            #expect(got.chain.pem == chains[0] && got.doubts.count == doubts, "\(got.doubts)")
        }
    }

    struct Alternate: Sendable, CustomTestStringConvertible {
        let target: String
        var answers: [ScriptedEdge.Answer] = []
        let says: String
        var testDescription: String { says }
    }

    static let alternates = [
        Alternate(
            target: "/b", answers: [.problem("malformed", status: 404)],
            says: "can't be obtained: the CA refuses (HTTP 404): urn:ietf:params:acme:error:malformed: said the CA"),
        Alternate(
            target: "http://other.test/b",
            says:
                "can't be obtained: the CA's link to an alternate chain can't be used: 'http://other.test/b' is no https URL"
        ),
        Alternate(
            target: "", says: "can't be obtained: the CA's link to an alternate chain can't be used: it is empty"),
        Alternate(target: "b", answers: [.json("<html>")], says: "can't be obtained: no certificate found"),
        Alternate(target: "?b", answers: [.json("")], says: "can't be obtained: no certificate found"),
        Alternate(
            target: "//ca.test/b", answers: [.json("", status: 503)],
            says: "can't be obtained: the CA refuses (HTTP 503): about:blank: HTTP status 503"),
        Alternate(target: "/b", answers: [.lost(mayHaveArrived: false)], says: "can't be obtained: Lost("),
    ]

    @Test(
        "A faulty or missing alternate leaves the CA's own chain in use, at once and with a reason",
        arguments: alternates)
    func oddAlternate(_ alternate: Alternate) throws {
        let chain = try Self.chain("Root A")
        let edge = ScriptedEdge([Self.answer(chain, alternates: [alternate.target])] + alternate.answers)
        let got = try Self.got(from: edge, preferring: "Root B")
        #expect(got.chain.pem == chain)
        let told = "has the CA's own chain, not preferred_chain 'Root B': the alternate chain at '\(alternate.target)' "
        #expect(got.doubts.count == 1 && got.doubts[0].hasPrefix(told + alternate.says), "\(got.doubts)")
        #expect(edge.isDone && edge.waits.isEmpty)
        #expect(edge.requests.dropFirst().allSatisfy(\.isWish) && !edge.requests[0].isWish)
    }

    @Test("Ten useless alternates with long faults are reported in one short line")
    func manyAlternates() throws {
        let chain = try Self.chain("Root A")
        let targets = (1...10).map { "/\($0)/" + String(repeating: "x", count: 300) }
        let refusal = ScriptedEdge.Answer.json(
            #"{"type": "x", "detail": "got \#(String(repeating: "y ", count: 20) + String(repeating: "z", count: 900))"}"#,
            status: 400)
        let edge = ScriptedEdge([Self.answer(chain, alternates: targets)] + targets.map { _ in refusal })
        let got = try Self.got(from: edge, preferring: "Root B")
        #expect(got.doubts.count == 1 && got.doubts[0].utf8.count <= 300, "\(got.doubts)")
        // The doubt contains no part of a word, since the word might be a secret.
        #expect(
            got.doubts[0].contains("at '…' can't be obtained: ") && got.doubts[0].contains(" y y…"), "\(got.doubts)")
        #expect(got.doubts[0].hasSuffix("; and 9 more are of no use either"), "\(got.doubts)")
        #expect(edge.isDone)
    }

    @Test("An alternate that is refused or times out does not hide a good one after it")
    func severalAlternates() throws {
        let chains = try ["Root A", "Root B"].map(Self.chain)
        for odd in [ScriptedEdge.Answer.lost(mayHaveArrived: true), .problem("malformed")] {
            let edge = ScriptedEdge([
                Self.answer(chains[0], alternates: ["/b", "/c"]), odd, Self.answer(chains[1]),
            ])
            let got = try Self.got(from: edge, preferring: "Root B")
            #expect(got.chain.pem == chains[1] && got.doubts.isEmpty && edge.isDone)
        }
    }

    @Test(
        "Alternates that were not tried are reported as such",
        arguments: [
            (3, true, "; and 1 more are of no use either; 1 was not tried"),
            (90, true, "; and 1 more are of no use either; 88 were not tried"),
            (11, false, "; and 9 more are of no use either; 1 was not tried"),
            (90, false, "; and 9 more are of no use either; 80 were not tried"),
        ])
    func untriedAlternates(_ count: Int, _ areSilent: Bool, _ words: String) throws {
        let chain = try Self.chain("Root A")
        let odd = areSilent ? ScriptedEdge.Answer.lost(mayHaveArrived: true) : .problem("malformed")
        let edge = ScriptedEdge(
            [Self.answer(chain, alternates: (1...count).map { "/\($0)" })]
                + Array(repeating: odd, count: areSilent ? 2 : 10))
        let got = try Self.got(from: edge, preferring: "Root B")
        #expect(got.chain.pem == chain && edge.isDone)
        #expect(got.doubts.count == 1 && got.doubts[0].hasSuffix(words), "\(got.doubts)")
    }

    @Test("An answer that is not a certificate chain is refused")
    func noChain() throws {
        let edge = ScriptedEdge([Self.answer("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")])
        #expect(throws: PKIError.self) { try Self.got(from: edge, preferring: nil) }
        #expect(edge.waits.isEmpty)
    }

    @Test(
        "An answer without a certificate is requested again",
        arguments: ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n"])
    func notThereYet(_ text: String) throws {
        let chain = try Self.chain("Root A")
        let edge = ScriptedEdge([Self.answer(text), .problem("serverInternal", status: 503), Self.answer(chain)])
        let got = try Self.got(from: edge, preferring: nil)
        #expect(got.chain.pem == chain)
        #expect(got.doubts == ["came late: the CA called it issued before it could be downloaded"])
        let never = ScriptedEdge(Array(repeating: Self.answer(text), count: 7))
        let error = #expect(throws: ACMEError.self) { try Self.got(from: never, preferring: nil) }
        #expect(error?.description.hasPrefix("the CA's certificate is not there yet: ") == true && never.isDone)
    }

    @Test("An order without a certificate URL yields no chain")
    func noCertificate() throws {
        let edge = ScriptedEdge([.order])
        let order = try edge.client().order(at: ACMEURL("https://ca.test/order/1"))
        #expect(throws: ACMEError.malformed("order", reason: "it does not say where its certificate is")) {
            try edge.client().chain(of: order, preferring: nil) { pem, _ in ACMEClient.Offer(pem, authorities: []) }
        }
    }
}
