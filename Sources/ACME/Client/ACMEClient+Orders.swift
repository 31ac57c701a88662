import PKI
import Remote

extension ACMEClient {
    private struct NewOrder: Encodable {
        let identifiers: [IdentifierWire]
        let profile: String?
        let replaces: String?
    }

    private struct Nothing: Encodable {}

    private struct Deactivation: Encodable {
        var status = "deactivated"
    }

    private struct Finalization: Encodable {
        let csr: String
    }

    /// Orders a certificate (RFC 8555, section 7.4).
    ///
    /// - Parameters:
    ///   - profile: one of the directory's.
    ///   - replaces: the identifier of the certificate that this one renews (RFC 9773, section 5), at the CA that has issued it;
    ///     left out where the CA has no renewal information.
    public func newOrder(
        identifiers: [ACMEIdentifier], profile: String? = nil, replaces: String? = nil
    ) throws -> ACMEOrder {
        let directory = try directory()
        if let profile, directory.profiles[profile] == nil {
            throw ACMEError.unknownProfile(profile, offered: directory.profiles.keys.sorted())
        }
        let request = NewOrder(
            identifiers: identifiers.map(IdentifierWire.init), profile: profile,
            replaces: directory.renewalInfo == nil ? nil : replaces)
        let response = try post(RemoteJSON.encode(request), to: directory.newOrder, isRepeatable: false)
        return try order(response, at: Self.location(of: response, "order"))
    }

    /// Looks at an order.
    public func order(at url: ACMEURL) throws -> ACMEOrder { try order(read(url), at: url) }

    /// Looks at an authorization.
    public func authorization(at url: ACMEURL) throws -> ACMEAuthorization { try authorization(read(url), at: url) }

    /// Tells the CA that a challenge is answered (RFC 8555, section 7.5.1).
    @discardableResult
    public func answer(_ challenge: ACMEAuthorization.Challenge) throws -> ACMEAuthorization.Challenge {
        try ACMEAuthorization.Challenge(post(RemoteJSON.encode(Nothing()), to: challenge.url).body)
    }

    /// Gives an authorization up (RFC 8555, section 7.5.2).
    @discardableResult
    public func deactivate(_ authorization: ACMEAuthorization) throws -> ACMEAuthorization {
        try self.authorization(
            post(RemoteJSON.encode(Deactivation()), to: authorization.url), at: authorization.url)
    }

    /// Sends the request (PKCS#10 in DER) of an order that is ready (RFC 8555, section 7.4). Also when an earlier one had
    /// arrived though its answer was lost, the order as it stands is given.
    public func finalize(_ order: ACMEOrder, csr: [UInt8]) throws -> ACMEOrder {
        do {
            let payload = RemoteJSON.encode(Finalization(csr: Base64URL.text(csr)))
            return try self.order(post(payload, to: order.finalize, isRepeatable: false), at: order.url)
        } catch let error as ACMEError where error.isRefusal("orderNotReady") {
            let current = try self.order(at: order.url)
            guard current.status == .processing || current.status == .valid else { throw error }
            return current
        }
    }

    private func order(_ response: ACMEHTTPResponse, at url: ACMEURL) throws(ACMEError) -> ACMEOrder {
        try ACMEOrder(response.body, url: url, retryAfter: retryAfter(response))
    }

    private func authorization(_ response: ACMEHTTPResponse, at url: ACMEURL) throws(ACMEError) -> ACMEAuthorization {
        try ACMEAuthorization(response.body, url: url, retryAfter: retryAfter(response))
    }
}
