import PKI
import Remote

/// An order that the CA has accepted. Its URL is known even when the rest of the answer can't be read.
package struct ACMEPlacedOrder: Sendable {
    package let url: ACMEURL
    /// The order's state, or the reason why the answer does not tell it.
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

    /// Places an order (RFC 8555, section 7.4). Only the order's URL must be in the answer: the rest can be read again.
    ///
    /// - Parameters:
    ///   - profile: one of the directory's profiles.
    ///   - replaces: the identifier of the certificate that this one renews (RFC 9773, section 5), if the same CA
    ///     issued it. Left out where the CA has no renewal information.
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
        let url = try Self.location(of: response, from: base, "order")
        return ACMEPlacedOrder(
            url: url, answer: Result { () throws(ACMEError) in try order(response, at: url, from: base) })
    }

    package func order(at url: ACMEURL) throws -> ACMEOrder { try order(read(url), at: url, from: url) }

    package func authorization(at url: ACMEURL) throws -> ACMEAuthorization { try authorization(read(url), at: url) }

    /// Tells the CA that a challenge is answered (RFC 8555, section 7.5.1). The CA's answer is ignored, since the
    /// caller reads the authorization afterwards.
    ///
    /// - Returns: an oddity in one line. It may be a refusal without effect, if the CA is checking the challenge
    ///   already.
    @discardableResult
    package func answer(_ answer: OrderMachine.Answer) throws -> String? {
        do {
            let body = try post(RemoteJSON.encode(Nothing()), to: answer.challenge.url).body
            return Self.oddity(of: body, "answer to a challenge")
        } catch let error as ACMEError where error.isLasting {
            let current = try authorization(at: answer.authorization.url)
            let challenge = current.challenges.first { $0.url == answer.challenge.url }
            guard current.status != .pending || challenge.map({ $0.status != .pending }) ?? false else { throw error }
            return Self.done(error)
        }
    }

    /// Deactivates an authorization (RFC 8555, section 7.5.2).
    @discardableResult
    package func deactivate(_ authorization: ACMEAuthorization) throws -> ACMEAuthorization {
        try self.authorization(
            post(RemoteJSON.encode(Deactivation()), to: authorization.url), at: authorization.url)
    }

    /// Sends the request (PKCS#10 in DER) of an order that is ready (RFC 8555, section 7.4). The CA's answer is
    /// ignored, since the caller reads the order afterwards.
    ///
    /// - Returns: an oddity in one line. It may be a refusal or a lost answer without effect, if the CA is issuing.
    /// - Throws: an `ACMEError` that `isLasting` when the CA refuses and is not issuing.
    @discardableResult
    package func finalize(_ order: ACMEOrder, csr: [UInt8]) throws -> String? {
        guard let url = order.finalize else { throw ACMEError.malformed("order", reason: "'finalize' is missing") }
        do {
            let payload = RemoteJSON.encode(Finalization(csr: Base64URL.text(csr)))
            return Self.oddity(of: try post(payload, to: url, isRepeatable: false).body, "answer to a request")
        } catch let error as ACMEError where error.isLasting {
            guard try self.order(at: order.url).isBeingIssued else { throw error }
            return Self.done(error)
        } catch let error where (error as? any ACMEEdgeError)?.mayHaveArrived ?? (error is ACMEError) {
            // A proxy may have given up while the CA went on issuing. If the order does not show it now, it will at the
            // next try.
            let current = try? self.order(read(order.url, isWish: true), at: order.url, from: order.url)
            guard let current, current.isBeingIssued else { throw error }
            return "the answer to its request was lost: \(error)"
        }
    }

    /// A note if an answer whose content is ignored has no readable `status`; nil if it has one.
    static func oddity(of body: [UInt8], _ thing: String) -> String? {
        do throws(ACMEError) {
            _ = try ACMEJSON.decode(WithStatus.self, from: body, of: thing)
            return nil
        } catch {
            return "\(error)"
        }
    }

    private static func done(_ refusal: ACMEError) -> String { "it was refused what it had taken already: \(refusal)" }

    private func order(_ response: ACMEHTTPResponse, at url: ACMEURL, from base: ACMEURL) throws(ACMEError) -> ACMEOrder
    {
        try ACMEOrder(response.body, url: url, from: base, retryAfter: retryAfter(response))
    }

    private func authorization(_ response: ACMEHTTPResponse, at url: ACMEURL) throws(ACMEError) -> ACMEAuthorization {
        try ACMEAuthorization(response.body, url: url, retryAfter: retryAfter(response))
    }
}
