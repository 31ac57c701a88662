import PKI
import Testing

@testable import ACME

/// Which requests are repeated, and after which delays.
@Suite struct RepeatedRequestTests {
    @Test("A busy CA is asked again for a minute, after growing delays or when its Retry-After says")
    func busy() throws {
        let edge = ScriptedEdge([
            .json("", status: 500), .problem("rateLimited", status: 429), .json("", status: 503, retryAfter: "7"),
            .order,
        ])
        _ = try edge.client().newOrder(identifiers: ClientTests.names)
        #expect(edge.waits == [.seconds(1), .seconds(2), .seconds(7)])
        #expect(Set(try edge.messages.compactMap(\.header.nonce)).count == 4)

        let dead = ScriptedEdge(Array(repeating: .json("", status: 503), count: 7))
        let error = #expect(throws: ACMEError.self) { try dead.client().newOrder(identifiers: ClientTests.names) }
        #expect(error?.description == "the CA refuses (HTTP 503): about:blank: HTTP status 503")
        #expect(dead.waits.reduce(.zero, +) == .seconds(47))
        #expect(dead.isDone)
    }

    @Test("A long Retry-After is obeyed, and the error says how long it is")
    func rateLimited() throws {
        let edge = ScriptedEdge([.problem("rateLimited", status: 429, retryAfter: "7200")])
        let error = #expect(throws: ACMEError.self) { try edge.client().newOrder(identifiers: ClientTests.names) }
        guard case .refused(_, 429, .seconds(7200)) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(
            error?.description
                == "the CA refuses (HTTP 429): urn:ietf:params:acme:error:rateLimited: said the CA; "
                + "try again in 7200 s")
        #expect(edge.waits.isEmpty)
    }

    @Test("A request that must not run twice is not repeated if it may have arrived; others are")
    func lostAnswers() throws {
        let ordering = ScriptedEdge([.lost(mayHaveArrived: false), .lost(mayHaveArrived: true)])
        #expect(throws: ScriptedEdge.Lost.self) { try ordering.client().newOrder(identifiers: ClientTests.names) }
        #expect(ordering.isDone)

        let reading = ScriptedEdge([.lost(mayHaveArrived: true), .lost(mayHaveArrived: true), .order])
        _ = try reading.client().order(at: ACMEURL("https://ca.test/order/1"))
        #expect(reading.waits == [.seconds(1), .seconds(2)])

        let changing = ScriptedEdge([.lost(mayHaveArrived: true)])
        let changed = try changing.client()
        #expect(throws: ScriptedEdge.Lost.self) { try changed.changeKey(to: ScriptedEdge.rsaKey.get()) }
        #expect(changed.key === (try ScriptedEdge.ecKey.get()))
    }

    @Test(
        "A refused challenge is read again; if it is in progress, there is no error",
        arguments: [("processing", true), ("valid", true), ("invalid", true), ("pending", false)])
    func answeredBefore(_ status: String, _ isFine: Bool) throws {
        let authorization = { (status: String) in
            ScriptedEdge.Answer.json(
                Samples.authorization("a.test", challenges: [Samples.challenge("http-01", 1, status: status)]))
        }
        let edge = ScriptedEdge([authorization("pending"), .problem("malformed"), authorization(status)])
        let client = try edge.client()
        let pending = try client.authorization(at: ACMEURL("https://ca.test/authz/1"))
        let answer = OrderMachine.Answer(authorization: pending, challenge: pending.challenges[0])
        if isFine {
            #expect(
                try client.answer(answer)?.hasPrefix("it was refused a request that it had already accepted") == true)
        } else {
            #expect(throws: ACMEError.self) { try client.answer(answer) }
        }
        #expect(edge.isDone)
    }

    @Test("A challenge whose answer is lost is sent again only if the CA does not validate yet")
    func lostChallenge() throws {
        let authorization = { (status: String) in
            ScriptedEdge.Answer.json(
                Samples.authorization("a.test", challenges: [Samples.challenge("http-01", 1, status: status)]))
        }
        for lost in [ScriptedEdge.Answer.json("", status: 500), .lost(mayHaveArrived: true)] {
            let edge = ScriptedEdge([
                authorization("pending"), lost, authorization("pending"), lost, authorization("processing"),
            ])
            let client = try edge.client()
            let pending = try client.authorization(at: ACMEURL("https://ca.test/authz/1"))
            let answer = OrderMachine.Answer(authorization: pending, challenge: pending.challenges[0])
            #expect(try client.answer(answer)?.hasPrefix("its answer to a challenge was lost: ") == true)
            #expect(edge.isDone && edge.waits == [.seconds(1)])
        }
        let untold = ScriptedEdge([authorization("pending")] + Array(repeating: .json("", status: 503), count: 14))
        let client = try untold.client()
        let pending = try client.authorization(at: ACMEURL("https://ca.test/authz/1"))
        #expect(throws: ACMEError.self) {
            try client.answer(OrderMachine.Answer(authorization: pending, challenge: pending.challenges[0]))
        }
        #expect(untold.isDone && untold.waits.reduce(.zero, +) == .seconds(47))
    }

    @Test("A resource that is not available yet is requested again for about a minute")
    func notThereYet() throws {
        let url = try ACMEURL("https://ca.test/order/1")
        let edge = ScriptedEdge([
            .problem("malformed", status: 404), .problem("malformed", status: 404), .order, .order,
        ])
        let client = try edge.client()
        let (order, wasLate) = try client.retryingUntilKnown { try client.order(at: url) }
        #expect(order.status == .pending && wasLate)
        #expect(edge.waits == [.seconds(1), .seconds(2)])
        #expect(try !client.retryingUntilKnown { try client.order(at: url) }.wasLate)
        let never = ScriptedEdge(Array(repeating: .problem("malformed", status: 410), count: 7))
        let error = #expect(throws: ACMEError.self) {
            let client = try never.client()
            _ = try client.retryingUntilKnown { try client.order(at: url) }
        }
        #expect(error?.isGone == true && never.isDone)
    }

    @Test(
        "A refused certificate is requested again, since the CA has named its place", arguments: [400, 401, 403, 406])
    func refusedCertificate(_ status: Int) throws {
        let issued = #"{"status": "valid", "certificate": "https://ca.test/cert/1"}"#
        let base = try ACMEURL("https://ca.test/order/1")
        let order = try ACMEOrder(Array(issued.utf8), url: base, from: base, retryAfter: nil)
        let edge = ScriptedEdge([
            .problem("malformed", status: status), .problem("malformed", status: status), .json("x"),
        ])
        let (chain, doubts) = try edge.client().chain(of: order, preferring: nil) { pem, _ in
            ACMEClient.Offer(pem, authorities: [])
        }
        #expect(chain == Array("x".utf8) && edge.waits == [.seconds(1), .seconds(2)])
        #expect(doubts == ["came late: the CA called it issued before it could be downloaded"])
        // An order is not requested again.
        let other = ScriptedEdge([.problem("malformed", status: status)])
        let client = try other.client()
        #expect(throws: ACMEError.self) { try client.retryingUntilKnown { try client.order(at: base) } }
    }

    @Test("What came in place of a certificate is reported")
    func noCertificate() throws {
        let issued = #"{"status": "valid", "certificate": "https://ca.test/cert/1"}"#
        let base = try ACMEURL("https://ca.test/order/1")
        let order = try ACMEOrder(Array(issued.utf8), url: base, from: base, retryAfter: nil)
        let edge = ScriptedEdge([
            .response(
                ACMEHTTPResponse(status: 200, retryAfter: "900", contentType: "text/html", body: Array("<html>".utf8)))
        ])
        let error = #expect(throws: ACMEError.self) {
            _ = try edge.client().chain(of: order, preferring: nil) { _, _ -> ACMEClient.Offer<Int> in
                throw PKIError.noCertificate
            }
        }
        #expect(
            error?.description.contains(
                "CERTIFICATE block; the answer (HTTP 200) has 6 bytes of type 'text/html'; try again in 900 s") == true,
            "\(error?.description ?? "")")
    }

    @Test("A missing resource is requested again when the CA says, unless that is too late")
    func notThereForLong() throws {
        let url = try ACMEURL("https://ca.test/order/1")
        let edge = ScriptedEdge([
            .problem("malformed", status: 404, retryAfter: "7"), .problem("malformed", status: 404, retryAfter: "900"),
        ])
        let client = try edge.client()
        let error = #expect(throws: ACMEError.self) { _ = try client.retryingUntilKnown { try client.order(at: url) } }
        #expect(error?.retryAfter == .seconds(900) && edge.waits == [.seconds(7)] && edge.isDone)
    }
}
