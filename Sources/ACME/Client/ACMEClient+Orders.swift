import PKI
import Remote

/// An order that the CA has accepted. The URL is known even if the rest of the answer can't be read.
package struct ACMEPlacedOrder: Sendable {
    package let url: ACMEURL
    /// The order, or the reason why it can't be read from the answer.
    package let answer: Result<ACMEOrder, ACMEError>
}

extension ACMEClient {
    private struct NewOrder: Encodable {
        let identifiers: [IdentifierWire]
        let profile: String?
        let replaces: String?
    }

    private struct Nothing: Encodable {}

    private struct WithStatus: Decodable {
        let status: String
    }

    private struct Deactivation: Encodable {
        var status = "deactivated"
    }

    private struct Finalization: Encodable {
        let csr: String
    }

    /// Places an order (RFC 8555 section 7.4). The answer must contain the order's URL. Everything else can be read
    /// later.
    ///
    /// - Parameters:
    ///   - profile: A profile in the CA's directory.
    ///   - replaces: The identifier (RFC 9773 section 4.1) of the certificate that this order renews. The same CA must
    ///     have issued that certificate. The identifier is not sent if the CA has no renewal information.
    package func newOrder(
        identifiers: [ACMEIdentifier], profile: String? = nil, replaces: String? = nil
    ) throws -> ACMEPlacedOrder {
        let directory = try directory()
        if let profile, directory.profiles[profile] == nil {
            throw ACMEError.unknownProfile(profile, offered: directory.profiles.keys.sorted())
        }
        let request = NewOrder(
            identifiers: identifiers.map(IdentifierWire.init), profile: profile,
            replaces: directory.renewalInfo == nil ? nil : replaces)
        let response = try post(RemoteJSON.encode(request), to: directory.newOrder, isRepeatable: false)
        let base = directory.newOrder
        let url: ACMEURL
        do throws(ACMEError) {
            url = try Self.location(of: response, from: base, "order")
        } catch {
            throw ACMEError.orderWithoutPlace(reason: "\(error)")
        }
        return ACMEPlacedOrder(
            url: url, answer: Result { () throws(ACMEError) in try order(response, at: url, from: base) })
    }

    package func order(at url: ACMEURL) throws -> ACMEOrder { try order(read(url), at: url, from: url) }

    package func authorization(at url: ACMEURL) throws -> ACMEAuthorization { try authorization(read(url), at: url) }

    /// Tells the CA that it can validate a challenge (RFC 8555 section 7.5.1). The answer's content is not used, since
    /// the caller reads the authorization afterwards.
    ///
    /// - Returns: A warning for the operator, for example that the CA refused the call because it was already
    ///   validating. Nil if there is nothing to report.
    @discardableResult
    package func answer(_ answer: OrderMachine.Answer) throws -> String? {
        var backoff = Backoff(budget: patience)
        while true {
            let begun = now()
            do {
                let body = try post(RemoteJSON.encode(Nothing()), to: answer.challenge.url, isSentOnce: true).body
                return Self.oddity(of: body, "answer to a challenge")
            } catch let error as ACMEError where error.isLasting {
                guard isUnderWay(try authorization(at: answer.authorization.url), answer) else { throw error }
                return Self.done(error)
            } catch  where Self.mayPass(error) {
                // The CA may validate all the same, so the authorization shows whether the call is still needed.
                let current = try? authorization(
                    read(answer.authorization.url, isWish: true), at: answer.authorization.url)
                if let current, isUnderWay(current, answer) { return "its answer to a challenge was lost: \(error)" }
                backoff.note(.seconds(now() - begun))
                guard let delay = backoff.delay(retryAfter: (error as? ACMEError)?.retryAfter) else { throw error }
                try wait(delay, Self.cause(error))
            }
        }
    }

    /// Whether the CA validates the challenge, or has done so.
    private func isUnderWay(_ current: ACMEAuthorization, _ answer: OrderMachine.Answer) -> Bool {
        let challenge = current.challenges.first { $0.url == answer.challenge.url }
        return current.status != .pending || challenge.map { $0.status != .pending } ?? false
    }

    @discardableResult
    package func deactivate(_ authorization: ACMEAuthorization) throws -> ACMEAuthorization {
        try self.authorization(
            post(RemoteJSON.encode(Deactivation()), to: authorization.url), at: authorization.url)
    }

    /// Sends the certificate request in DER to an order that is ready (RFC 8555 section 7.4). The caller reads the order
    /// afterwards.
    ///
    /// - Parameter issued: Called with the order of the answer, if the answer has the certificate's URL.
    /// - Returns: A warning for the operator, for example that the answer was lost but the CA issues the certificate.
    ///   Nil if there is nothing to report.
    /// - Throws: An `ACMEError` with `isLasting` if the CA refuses the request and does not issue.
    @discardableResult
    package func finalize(
        _ order: ACMEOrder, csr: [UInt8], issued: (ACMEOrder) -> Void = { _ in }
    ) throws -> String? {
        guard let url = order.finalize else { throw ACMEError.malformed("order", reason: "'finalize' is missing") }
        let payload = RemoteJSON.encode(Finalization(csr: Base64URL.text(csr)))
        var backoff = Backoff(budget: patience)
        while true {
            let begun = now()
            do {
                let response = try post(payload, to: url, isRepeatable: false, isSentOnce: true)
                if let answer = try? self.order(response, at: order.url, from: url), answer.status == .valid,
                    answer.certificate != nil
                {
                    issued(answer)
                }
                return Self.oddity(of: response.body, "answer to a request")
            } catch let error as ACMEError where error.isLasting {
                guard try self.order(at: order.url).isBeingIssued else { throw error }
                return Self.done(error)
            } catch {
                backoff.note(.seconds(now() - begun))
                guard try isStillReady(order, after: error, &backoff) else {
                    return "the answer to its request was lost: \(error)"
                }
            }
        }
    }

    /// Whether an order still waits for its certificate request after the request has failed with `error`. If so,
    /// returns only when the request may be sent again.
    ///
    /// A proxy may have ended the connection although the CA continues to issue. So the order is read first, as often
    /// as needed until the CA answers with the order.
    ///
    /// - Throws: `error` if another try can't help, or the time for tries is over.
    private func isStillReady(_ order: ACMEOrder, after error: any Error, _ backoff: inout Backoff) throws -> Bool {
        var isReady = (error as? any ACMEEdgeError).map { !$0.mayHaveArrived } ?? false
        while true {
            let begun = now()
            if !isReady, let current = try? self.order(read(order.url, isWish: true), at: order.url, from: order.url) {
                guard current.status == .ready else { return false }
                isReady = true
            }
            backoff.note(.seconds(now() - begun))
            let wish = (error as? ACMEError)?.retryAfter
            guard Self.mayPass(error), let delay = backoff.delay(retryAfter: wish) else { throw error }
            try wait(delay, Self.cause(error))
            if isReady { return true }
        }
    }

    /// Whether the same request may succeed soon.
    private static func mayPass(_ error: any Error) -> Bool {
        switch error {
        case let error as any ACMEEdgeError: error.isTransient
        case ACMEError.refused(_, let status, _): status == 429 || 500...599 ~= status
        default: false
        }
    }

    /// Returns a line for the operator if an answer has no readable `status`, or one in capitals. The answer's other
    /// content is not used.
    static func oddity(of body: [UInt8], _ thing: String) -> String? {
        do throws(ACMEError) {
            let status = try ACMEJSON.decode(WithStatus.self, from: body, of: thing).status
            guard status != status.lowercased() else { return nil }
            return "the CA's \(thing) has a 'status' written as '\(status.oneLine(limit: 40))'"
        } catch {
            return "\(error)"
        }
    }

    private static func done(_ refusal: ACMEError) -> String {
        "it was refused a request that it had already accepted: \(refusal)"
    }

    private func order(_ response: ACMEHTTPResponse, at url: ACMEURL, from base: ACMEURL) throws(ACMEError) -> ACMEOrder
    {
        try ACMEOrder(response.body, url: url, from: base, retryAfter: retryAfter(response))
    }

    private func authorization(_ response: ACMEHTTPResponse, at url: ACMEURL) throws(ACMEError) -> ACMEAuthorization {
        try ACMEAuthorization(response.body, url: url, retryAfter: retryAfter(response))
    }
}
