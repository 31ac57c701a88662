import PKI

/// Where a CA's resources are, and what it says of itself (RFC 8555, section 7.1.1).
public struct ACMEDirectory: Sendable, Hashable {
    /// Where nonces are had.
    public let newNonce: ACMEURL
    /// Where accounts are made and looked up.
    public let newAccount: ACMEURL
    /// Where orders are placed.
    public let newOrder: ACMEURL
    /// Where certificates are revoked.
    public let revokeCert: ACMEURL?
    /// Where an account gets another key.
    public let keyChange: ACMEURL?
    /// Below it is what the CA advises on renewals (RFC 9773).
    public let renewalInfo: ACMEURL?
    /// Where people read the terms that every account agrees to; Pebble has a `data:` URL here, and we never ask for it.
    public let termsOfService: String?
    /// The names by which CAA records may allow this CA (RFC 8659).
    public let caaIdentities: [String]
    /// Whether accounts must be bound to one that the CA knows.
    public let isExternalAccountRequired: Bool
    /// The certificate profiles, by name, each with a text for people.
    public let profiles: [String: String]

    init(_ bytes: [UInt8]) throws(ACMEError) {
        let wire = try ACMEJSON.decode(Wire.self, from: bytes, of: "directory")
        newNonce = try ACMEURL(wire.newNonce, of: "directory's newNonce")
        newAccount = try ACMEURL(wire.newAccount, of: "directory's newAccount")
        newOrder = try ACMEURL(wire.newOrder, of: "directory's newOrder")
        revokeCert = try ACMEURL(ifAny: wire.revokeCert, of: "directory's revokeCert")
        keyChange = try ACMEURL(ifAny: wire.keyChange, of: "directory's keyChange")
        renewalInfo = try ACMEURL(ifAny: wire.renewalInfo, of: "directory's renewalInfo")
        termsOfService = wire.meta?.termsOfService?.oneLine(limit: 2048)
        caaIdentities = (wire.meta?.caaIdentities ?? []).prefix(100).map { $0.oneLine(limit: 253) }
        isExternalAccountRequired = wire.meta?.externalAccountRequired ?? false
        profiles = wire.meta?.profiles ?? [:]
    }

    private struct Wire: Decodable {
        struct Meta: Decodable {
            let termsOfService: String?
            let caaIdentities: [String]?
            let externalAccountRequired: Bool?
            let profiles: [String: String]?
        }

        let newNonce: String
        let newAccount: String
        let newOrder: String
        let revokeCert: String?
        let keyChange: String?
        let renewalInfo: String?
        let meta: Meta?
    }
}

extension ACMEURL {
    /// A URL that need not be there.
    init?(ifAny text: String?, of thing: String) throws(ACMEError) {
        guard let text else { return nil }
        try self.init(text, of: thing)
    }
}

extension ACMEDirectory {
    /// Asks for a directory, once: who only wants to see does not wait until a busy CA has time.
    public init(at url: ACMEURL, over edge: any ACMEEdge) throws {
        let response = try edge.send(ACMEHTTPRequest(method: .get, url: url, body: [], accept: nil))
        guard 200...299 ~= response.status else {
            throw ACMEError.refused(ACMEProblem(of: response), status: response.status, retryAfter: nil)
        }
        try self.init(response.body)
    }
}
