import Testing

@testable import ACME

/// Sends certificate requests to CAs whose answers are lost or whose refusals arrive late.
@Suite struct FinalizationTests {
    /// A script of answers to a certificate request, and what must happen to the order.
    struct Finalization: CustomTestStringConvertible {
        let testDescription: String
        let script: [ScriptedEdge.Answer]
        /// The requests that must be sent: a certificate request (`f`) or reading the order (`o`).
        let sent: String
        var waits: [Int] = []
        /// Whether the client must report that the answer was lost.
        var isLost = true

        static let busy = ScriptedEdge.Answer.json("", status: 503)
        static let lost = ScriptedEdge.Answer.lost(mayHaveArrived: true)
        static func order(_ status: String) -> ScriptedEdge.Answer { .json(Samples.order(status)) }
    }

    @Test(
        "A failed certificate request is repeated only while the order is still ready",
        arguments: [
            Finalization(
                testDescription: "the CA continues behind a proxy that timed out",
                script: [Finalization.busy, Finalization.order("processing")], sent: "fo"),
            Finalization(
                testDescription: "the CA ends the order", script: [Finalization.busy, Finalization.order("invalid")],
                sent: "fo"),
            Finalization(
                testDescription: "the answer is lost", script: [Finalization.lost, Finalization.order("valid")],
                sent: "fo"),
            Finalization(
                testDescription: "the request is lost",
                script: [Finalization.lost, Finalization.order("ready"), Finalization.order("processing")],
                sent: "fof", waits: [1], isLost: false),
            Finalization(
                testDescription: "the request is not sent",
                script: [.lost(mayHaveArrived: false), Finalization.order("processing")], sent: "ff", waits: [1],
                isLost: false),
            Finalization(
                testDescription: "the CA is busy for a while, and says for how long",
                script: [
                    Finalization.busy, Finalization.order("ready"),
                    .problem("rateLimited", status: 429, retryAfter: "7"),
                    Finalization.order("ready"), Finalization.order("processing"),
                ], sent: "fofof", waits: [1, 7], isLost: false),
            Finalization(
                testDescription: "the order is not shown at first",
                script: [
                    Finalization.busy, Finalization.lost, Finalization.busy, Finalization.order("valid"),
                ], sent: "fooo", waits: [1, 2]),
        ])
    func finalizedAgain(_ sample: Finalization) throws {
        let edge = ScriptedEdge([.order] + sample.script)
        let client = try edge.client()
        let order = try client.newOrder(identifiers: ClientTests.names).answer.get()
        let told = try client.finalize(order, csr: [1])
        #expect(told?.hasPrefix("the answer to its request was lost: ") == (sample.isLost ? true : nil))
        #expect(edge.isDone && edge.waits == sample.waits.map { .seconds($0) })
        let sent = try edge.messages.dropFirst().map { $0.header.url.hasSuffix("/finalize") ? "f" : "o" }.joined()
        #expect(sent == sample.sent)
    }

    @Test("A certificate request fails after about a minute, or at once if no repetition can help")
    func finalizedInVain() throws {
        let busy = ScriptedEdge(
            [.order] + (0..<7).flatMap { _ in [Finalization.busy, Finalization.order("ready")] })
        let client = try busy.client()
        let order = try client.newOrder(identifiers: ClientTests.names).answer.get()
        #expect(throws: ACMEError.self) { try client.finalize(order, csr: [1]) }
        #expect(busy.isDone && busy.waits.reduce(.zero, +) == .seconds(47))

        let unknown = ScriptedEdge([.problem("accountDoesNotExist"), .problem("accountDoesNotExist")])
        #expect(throws: ACMEError.self) { try unknown.client().finalize(order, csr: [1]) }
        #expect(unknown.isDone && unknown.waits.isEmpty)
    }

    @Test("A repeated request that the CA already has is not an error")
    func finalize() throws {
        let edge = ScriptedEdge([
            .order, .json(Samples.order("processing")), .problem("orderNotReady", status: 403),
            .json(Samples.order("processing")), .problem("orderNotReady", status: 403), .json(Samples.order("pending")),
            .problem("malformed"), .json(Samples.order("valid")), .json("<html>"),
            .problem("rateLimited", status: 429, retryAfter: "7200"), .json(Samples.order("ready")),
            .problem("serverInternal", status: 504, retryAfter: "7200"), .json(Samples.order("valid")),
        ])
        let client = try edge.client()
        let order = try client.newOrder(identifiers: ClientTests.names).answer.get()
        #expect(try client.finalize(order, csr: [0xFB, 0xFF]) == nil)
        let refusal = "the CA refuses (HTTP 403): urn:ietf:params:acme:error:orderNotReady: said the CA"
        let told = "it was refused a request that it had already accepted: \(refusal)"
        #expect(try client.finalize(order, csr: [0xFB, 0xFF]) == told)
        #expect(throws: ACMEError.self) { try client.finalize(order, csr: [1]) }
        let messages = try edge.messages
        #expect(messages[1].payload == #"{"csr":"-_8"}"#)
        #expect(messages[1].header.url == "https://ca.test/order/1/finalize")
        #expect(messages[3].header.url == "https://ca.test/order/1")
        // The refusal's type and the content of the answer do not matter.
        #expect(try client.finalize(order, csr: [1])?.contains("malformed") == true)
        #expect(
            try client.finalize(order, csr: [1]) == "the CA's answer to a request can't be used: it is no JSON")
        let error = #expect(throws: ACMEError.self) { try client.finalize(order, csr: [1]) }
        #expect(error?.isLasting == false)
        #expect(try client.finalize(order, csr: [1])?.contains("HTTP 504") == true)
    }
}
