import Testing

@testable import ACME

@Suite struct OrderMachineTests {
    private func order(_ status: String, more: String = "", retryAfter: Duration? = nil) throws -> ACMEOrder {
        try ACMEOrder(
            Array(Samples.order(status, more: more).utf8), url: ACMEURL("https://ca.test/order/1"),
            from: ACMEURL("https://ca.test/order/1"), retryAfter: retryAfter)
    }

    private func authorization(
        _ number: Int, _ status: String = "pending", challenge: String = "pending", types: [String] = ["http-01"],
        error: String = "", retryAfter: Duration? = nil
    ) throws -> ACMEAuthorization {
        let challenges = types.map { Samples.challenge($0, number, status: challenge, more: error) }
        return try ACMEAuthorization(
            Array(Samples.authorization("\(number).test", status: status, challenges: challenges).utf8),
            url: ACMEURL("https://ca.test/authz/\(number)"), retryAfter: retryAfter)
    }

    @Test("An order goes from challenges to its certificate")
    func wholeWay() throws {
        var machine = OrderMachine(answering: .http01)
        var authorizations = try [authorization(1), authorization(2, "valid", challenge: "valid"), authorization(3)]
        guard
            case .answer(let answers) = machine.next(
                order: try order("pending"), authorizations: authorizations, now: 0)
        else {
            Issue.record("nothing to answer")
            return
        }
        #expect(answers.map(\.authorization.name) == ["1.test", "3.test"])
        #expect(answers.map(\.challenge.token) == ["token-1", "token-3"])

        // If only the first challenge was answered, the next step asks for the other one alone.
        machine.answered(answers[0].challenge)
        #expect(
            machine.next(order: try order("pending"), authorizations: authorizations, now: 1) == .answer([answers[1]]))
        machine.answered(answers[1].challenge)
        let urls = [authorizations[0].url, authorizations[2].url]
        #expect(
            machine.next(order: try order("pending"), authorizations: authorizations, now: 2)
                == .await(authorizations: urls, after: .milliseconds(250)))
        authorizations[0] = try authorization(1, "valid", challenge: "valid")
        #expect(
            machine.next(order: try order("pending"), authorizations: authorizations, now: 3)
                == .await(authorizations: [urls[1]], after: .milliseconds(500)))
        authorizations[2] = try authorization(3, "valid", challenge: "valid")
        // The order may become ready later than its authorizations become valid.
        #expect(
            machine.next(order: try order("pending"), authorizations: authorizations, now: 4)
                == .await(authorizations: [], after: .seconds(1)))
        #expect(machine.next(order: try order("ready"), authorizations: authorizations, now: 5) == .finalize)
        #expect(
            machine.next(order: try order("processing"), authorizations: authorizations, now: 6)
                == .awaitIssuance(after: .milliseconds(250)))
        let issued = try order("valid", more: #", "certificate": "https://ca.test/cert/1""#)
        #expect(
            machine.next(order: issued, authorizations: authorizations, now: 7)
                == .download(try ACMEURL("https://ca.test/cert/1")))
    }

    @Test("A challenge that is being processed after a crash is awaited, not answered again")
    func resumed() throws {
        var machine = OrderMachine(answering: .http01)
        let pending = try authorization(1, challenge: "processing")
        #expect(
            machine.next(order: try order("pending"), authorizations: [pending], now: 0)
                == .await(authorizations: [pending.url], after: .milliseconds(250)))
    }

    @Test("The delay between looks grows, or follows the CA's Retry-After within limits")
    func delays() throws {
        var delay = PollDelay()
        let own = (0..<7).map { _ in delay.next(retryAfter: nil) }
        #expect(
            own == [
                .milliseconds(250), .milliseconds(500), .seconds(1), .seconds(2), .seconds(4), .seconds(5), .seconds(5),
            ])
        #expect(delay.next(retryAfter: .zero) == .seconds(1))
        #expect(delay.next(retryAfter: .seconds(7)) == .seconds(7))
        #expect(delay.next(retryAfter: .seconds(3600)) == .seconds(60))

        var machine = OrderMachine(answering: .http01)
        let authorizations = try [
            authorization(1, challenge: "processing", retryAfter: .seconds(3)),
            authorization(2, challenge: "processing"),
        ]
        guard
            case .await(_, .seconds(3)) = machine.next(
                order: try order("pending", retryAfter: .seconds(9)), authorizations: authorizations, now: 0)
        else {
            Issue.record("the CA's wish is not heard")
            return
        }
    }

    @Test("Validation fails after five minutes, and so does issuance")
    func patience() throws {
        var machine = OrderMachine(answering: .http01)
        let pending = try authorization(1, challenge: "processing")
        let processing = try order("processing")
        for now: Int64 in [0, 299] {
            guard case .await = machine.next(order: try order("pending"), authorizations: [pending], now: now) else {
                Issue.record("given up at \(now) s")
                return
            }
        }
        let failure = OrderFailure.timedOut(names: ["1.test"])
        #expect(machine.next(order: try order("pending"), authorizations: [pending], now: 300) == .failed(failure))
        #expect(failure.description == "the CA has not come to an end with authorizing 1.test")
        #expect(
            machine.next(order: processing, authorizations: [], now: 301) == .awaitIssuance(after: .milliseconds(250)))
        #expect(
            machine.next(order: processing, authorizations: [], now: 601) == .failed(.timedOut(names: [])))
    }

    static let refusal = #", "error": {"type": "urn:ietf:params:acme:error:unauthorized", "detail": "404"}"#

    @Test("Every error that the CA gives for a failed name is reported, wherever the answer has it")
    func refused() throws {
        let failed = try authorization(1, "invalid", challenge: "invalid", error: Self.refusal)
        // Boulder, the CA software of Let's Encrypt, marks the challenge as invalid before the authorization.
        let failing = try authorization(2, challenge: "invalid", error: Self.refusal)
        let silent = try authorization(3, "invalid", challenge: "pending")
        var machine = OrderMachine(answering: .http01)
        guard
            case .failed(let failure) = machine.next(
                order: try order("pending"), authorizations: [failed, failing, silent], now: 0)
        else {
            Issue.record("it goes on")
            return
        }
        #expect(
            failure.description
                == "the CA refuses 1.test: urn:ietf:params:acme:error:unauthorized: 404; "
                + "the CA refuses 2.test: urn:ietf:params:acme:error:unauthorized: 404; "
                + "the CA refuses 3.test: it does not say why")
    }

    @Test("The reasons of a failed order are requested once")
    func invalidOrder() throws {
        var machine = OrderMachine(answering: .http01)
        let stale = try authorization(1, challenge: "processing")
        #expect(
            machine.next(order: try order("invalid"), authorizations: [stale], now: 0)
                == .await(authorizations: [stale.url], after: .zero))
        let nothing = OrderFailure.Complaint(name: nil, problem: nil)
        #expect(
            machine.next(order: try order("invalid"), authorizations: [stale], now: 0) == .failed(.refused([nothing])))
        let explained = try order(
            "invalid", more: #", "error": {"type": "urn:ietf:params:acme:error:caa", "detail": "no"}"#)
        guard case .failed(let failure) = machine.next(order: explained, authorizations: [], now: 0) else {
            Issue.record("it goes on")
            return
        }
        #expect(failure.description == "the CA refuses the order: urn:ietf:params:acme:error:caa: no")

        // An error that the order and a name have in common is reported once.
        let failed = try authorization(1, "invalid", challenge: "invalid", error: Self.refusal)
        let repeated = try order("invalid", more: Self.refusal)
        guard case .failed(.refused(let complaints)) = machine.next(order: repeated, authorizations: [failed], now: 0)
        else {
            Issue.record("it goes on")
            return
        }
        #expect(complaints.map(\.name) == ["1.test"])
    }

    @Test(
        "An authorization that is expired, revoked or deactivated fails the order",
        arguments: ["expired", "deactivated", "revoked"])
    func ended(_ status: String) throws {
        var machine = OrderMachine(answering: .http01)
        guard
            case .failed(let failure) = machine.next(
                order: try order("pending"), authorizations: [try authorization(1, status)], now: 0)
        else {
            Issue.record("it goes on")
            return
        }
        #expect(failure.description == "the authorization of 1.test is \(status)")
    }

    @Test("A failed challenge does not matter if another one of the same type is open")
    func severalOfAType() throws {
        for statuses in [["invalid", "pending"], ["pending", "invalid"], ["invalid", "invalid", "pending"]] {
            var machine = OrderMachine(answering: .http01)
            let challenges = statuses.enumerated().map { Samples.challenge("http-01", $0 + 1, status: $1) }
            let authorization = try ACMEAuthorization(
                Array(Samples.authorization("1.test", status: "pending", challenges: challenges).utf8),
                url: ACMEURL("https://ca.test/authz/1"), retryAfter: nil)
            guard
                case .answer(let answers) = machine.next(
                    order: try order("pending"), authorizations: [authorization], now: 0)
            else {
                Issue.record("nothing to answer of \(statuses)")
                continue
            }
            #expect(answers.map(\.challenge.status) == [.pending])
        }
        var machine = OrderMachine(answering: .http01)
        let failed = try authorization(1, challenge: "invalid", types: ["http-01", "dns-01"])
        guard case .failed(.refused) = machine.next(order: try order("pending"), authorizations: [failed], now: 0)
        else {
            Issue.record("it goes on")
            return
        }
    }

    @Test("If the CA does not offer the challenge, the order fails and the error names the offered ones")
    func notOffered() throws {
        var machine = OrderMachine(answering: .tlsALPN01)
        let authorization = try authorization(1, types: ["http-01", "dns-01", "dns-account-01"])
        let failure = OrderFailure.notOffered(
            .tlsALPN01, name: "1.test", offered: ["http-01", "dns-01", "dns-account-01"])
        #expect(machine.next(order: try order("pending"), authorizations: [authorization], now: 0) == .failed(failure))
        #expect(
            failure.description
                == "the CA does not offer tls-alpn-01 for 1.test: only http-01, dns-01, dns-account-01")
    }

    @Test("An order that stays ready is finalized at most five times, with a wait before each")
    func alwaysReady() throws {
        var machine = OrderMachine(answering: .http01)
        let ready = try order("ready")
        let steps = (0..<10).map { machine.next(order: ready, authorizations: [], now: $0) }
        #expect(steps.enumerated().allSatisfy { ($0 % 2 == 0) == ($1 == .finalize) })
        #expect(
            steps[1] == .awaitIssuance(after: .milliseconds(250))
                && steps[3] == .awaitIssuance(after: .milliseconds(500)))
        #expect(machine.next(order: ready, authorizations: [], now: 10) == .failed(.timedOut(names: [])))
    }

    @Test("A valid order has five minutes to name its certificate's URL")
    func noCertificate() throws {
        var machine = OrderMachine(answering: .http01)
        let order = try order("valid")
        #expect(machine.next(order: order, authorizations: [], now: 0) == .awaitIssuance(after: .milliseconds(250)))
        #expect(machine.next(order: order, authorizations: [], now: 299) == .awaitIssuance(after: .milliseconds(500)))
        #expect(machine.next(order: order, authorizations: [], now: 300) == .failed(.noCertificate))
    }

    @Test("A pending order without authorizations fails, and the error says so")
    func noAuthorizations() throws {
        var machine = OrderMachine(answering: .http01)
        let text = Samples.order("pending").replacing("authorizations", with: "authorisations")
        let url = try ACMEURL("https://ca.test/order/1")
        let bare = try ACMEOrder(Array(text.utf8), url: url, from: url, retryAfter: nil)
        #expect(
            machine.next(order: bare, authorizations: [], now: 0)
                == .await(authorizations: [], after: .milliseconds(250)))
        #expect(machine.next(order: bare, authorizations: [], now: 300) == .failed(.noAuthorizations(fault: nil)))
    }

    @Test("A pending order whose authorizations can't be read is read once more, and then fails with the reason")
    func unreadableAuthorizations() throws {
        let url = try ACMEURL("https://ca.test/order/1")
        let list = #"["https://ca.test/authz/1", "https://ca.test/authz/2"]"#
        for (odd, reason) in [("[null]", "it is null"), ("7", "the list is of the wrong type")] {
            let text = Samples.order("pending").replacing(list, with: odd)
            let order = try ACMEOrder(Array(text.utf8), url: url, from: url, retryAfter: nil)
            var machine = OrderMachine(answering: .http01)
            #expect(
                machine.next(order: order, authorizations: [], now: 0) == .await(authorizations: [], after: .zero))
            let failure = OrderFailure.noAuthorizations(fault: reason)
            #expect(machine.next(order: order, authorizations: [], now: 0) == .failed(failure))
            #expect(failure.description.hasSuffix("none of them can be read: \(reason)") && failure.wouldRecur)
        }
    }

    @Test("An order that stays pending though its authorizations are valid is not said to be issuing")
    func hiddenAuthorization() throws {
        var machine = OrderMachine(answering: .http01)
        let valid = try authorization(1, "valid", challenge: "valid")
        _ = machine.next(order: try order("pending"), authorizations: [valid], now: 0)
        #expect(
            machine.next(order: try order("pending"), authorizations: [valid], now: 300)
                == .failed(.timedOut(names: ["1.test"])))
    }
}
