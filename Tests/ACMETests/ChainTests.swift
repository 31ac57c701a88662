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
        let links = alternates.map { ACMEHTTPResponse.Link(url: $0, rel: "alternate") }
        return .response(
            ACMEHTTPResponse(
                status: 200, links: [ACMEHTTPResponse.Link(url: "http://ca.test/directory", rel: "index")] + links,
                body: Array(chain.utf8)))
    }

    private static func order() throws -> ACMEOrder {
        try ACMEOrder(
            Array(Samples.order("valid", more: #", "certificate": "https://ca.test/cert/1""#).utf8),
            url: ACMEURL("https://ca.test/order/1"), retryAfter: nil)
    }

    @Test("The chain that leads to the preferred root is taken, else the CA's default")
    func preferred() throws {
        let chains = try ["Root A", "Root B", "Root C"].map(Self.chain)
        let alternates = ["https://ca.test/cert/1/b", "https://ca.test/cert/1/c"]
        for (wish, index, asked) in [
            (nil, 0, 1), ("Root A", 0, 1), ("Root B", 1, 2), ("Root C", 2, 3), ("Root X", 0, 3),
        ] {
            let script = [Self.answer(chains[0], alternates: alternates)] + chains[1..<asked].map { Self.answer($0) }
            let edge = ScriptedEdge(script)
            let got = try edge.client().certificates(of: Self.order(), preferredChain: wish)
            #expect(got == Array(chains[index].utf8))
            #expect(edge.requests.count == asked)
            #expect(edge.requests.allSatisfy { $0.accept == "application/pem-certificate-chain" })
        }
    }

    @Test("An alternate chain that the CA does not give is passed over")
    func refusedAlternate() throws {
        let chain = try Self.chain("Root A")
        let edge = ScriptedEdge([
            Self.answer(chain, alternates: ["https://ca.test/cert/1/b"]), .problem("malformed", status: 404),
        ])
        let got = try edge.client().certificates(of: Self.order(), preferredChain: "Root B")
        #expect(got == Array(chain.utf8))
        #expect(edge.isDone)
    }

    @Test("An alternate chain over plain http is refused")
    func plainAlternate() throws {
        let edge = ScriptedEdge([Self.answer(try Self.chain("Root A"), alternates: ["http://ca.test/cert/1/b"])])
        #expect(throws: ACMEError.self) {
            try edge.client().certificates(of: Self.order(), preferredChain: "Root B")
        }
        #expect(edge.requests.count == 1)
    }

    @Test("What is no chain is refused", arguments: ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n"])
    func noChain(_ text: String) throws {
        let edge = ScriptedEdge([Self.answer(text)])
        #expect(throws: ACMEError.self) { try edge.client().certificates(of: Self.order()) }
    }

    @Test("An order without a certificate has no chain")
    func noCertificate() throws {
        let edge = ScriptedEdge([.order])
        let order = try edge.client().order(at: ACMEURL("https://ca.test/order/1"))
        #expect(throws: ACMEError.malformed("order", reason: "it does not say where its certificate is")) {
            try edge.client().certificates(of: order)
        }
    }
}
