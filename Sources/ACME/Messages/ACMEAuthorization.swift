import PKI
import Remote

/// How control over a name is shown. The raw value is the type's name.
public enum ACMEChallengeType: String, Sendable {
    /// A token over plain HTTP (RFC 8555, section 8.3).
    case http01 = "http-01"
    /// A certificate in a TLS handshake (RFC 8737).
    case tlsALPN01 = "tls-alpn-01"
    /// A TXT record (RFC 8555, section 8.4).
    case dns01 = "dns-01"
}

/// An account's authorization for a name (RFC 8555, section 7.1.4).
public struct ACMEAuthorization: Sendable, Hashable {
    /// Where an authorization stands (RFC 8555, section 7.1.6).
    public enum Status: String, Sendable, Decodable {
        /// A challenge is still to be answered.
        case pending
        /// The name may be used.
        case valid
        /// A challenge has failed.
        case invalid
        /// Given up by the account.
        case deactivated
        /// It was valid, too long ago.
        case expired
        /// Taken back by the CA.
        case revoked
    }

    /// One way to get the authorization (RFC 8555, section 8).
    public struct Challenge: Sendable, Hashable {
        /// Where a challenge stands (RFC 8555, section 7.1.6).
        public enum Status: String, Sendable, Decodable {
            /// It waits for its answer.
            case pending
            /// The CA is looking at the answer.
            case processing
            /// The answer was right.
            case valid
            /// It was not.
            case invalid
        }

        /// What it asks for.
        public let type: ACMEChallengeType
        /// Where the CA is told that it is answered.
        public let url: ACMEURL
        /// Where it stands.
        public let status: Status
        /// What tells it from others: 1 to 256 digits of base64url.
        public let token: String
        /// Why it has failed.
        public let error: ACMEProblem?
    }

    /// Where it is looked at.
    public let url: ACMEURL
    /// The name; for a wildcard, what stands behind the `*.`.
    public let identifier: ACMEIdentifier
    /// Whether it is for the wildcard below the name.
    public let isWildcard: Bool
    /// Where it stands.
    public let status: Status
    /// The challenges that we know.
    public let challenges: [Challenge]
    /// The types of all challenges, for people.
    public let offeredTypes: [String]
    /// When it ends, in seconds since 1970.
    public let expires: Int64?
    /// How long the CA wants to be left alone about it.
    public let retryAfter: Duration?

    /// The name as it was ordered.
    public var name: String { isWildcard ? "*.\(identifier)" : identifier.text }

    package init(_ bytes: [UInt8], url: ACMEURL, retryAfter: Duration?) throws(ACMEError) {
        let wire = try ACMEJSON.decode(Wire.self, from: bytes, of: "authorization")
        let challenges = wire.challenges ?? []
        guard challenges.count <= 100 else {
            throw .malformed("authorization", reason: "it has more than 100 challenges")
        }
        self.url = url
        identifier = try wire.identifier.identifier(of: "authorization")
        isWildcard = wire.wildcard ?? false
        status = wire.status
        self.challenges = try challenges.compactMap(\.known).map { (wire) throws(ACMEError) in
            try Challenge(wire, from: url)
        }
        offeredTypes = challenges.map { $0.type.oneLine(limit: 100) }
        expires = wire.expires.flatMap(RemoteTime.rfc3339)
        self.retryAfter = retryAfter
    }

    private struct Wire: Decodable {
        let identifier: IdentifierWire
        let status: Status
        @IfReadable var expires: String?
        @IfReadable var wildcard: Bool?
        /// Of no use once it is valid, so some leave them out then.
        let challenges: [AnyChallenge]?
    }

    /// Of a type that we don't know nothing else is read, whatever it may hold.
    private struct AnyChallenge: Decodable {
        let type: String
        let known: Challenge.Wire?

        enum Key: CodingKey { case type }

        init(from decoder: any Decoder) throws {
            type = try decoder.container(keyedBy: Key.self).decode(String.self, forKey: .type)
            known = ACMEChallengeType(rawValue: type) == nil ? nil : try Challenge.Wire(from: decoder)
        }
    }
}

extension ACMEAuthorization.Challenge {
    init(_ wire: Wire, from base: ACMEURL) throws(ACMEError) {
        guard let type = ACMEChallengeType(rawValue: wire.type) else {
            throw .malformed("challenge", reason: "it is of the type '\(wire.type.oneLine(limit: 100))'")
        }
        guard 1...256 ~= wire.token.utf8.count, Base64URL.isText(wire.token.utf8) else {
            throw .malformed("challenge", reason: "its token is not 1 to 256 digits of base64url")
        }
        self.type = type
        url = try ACMEURL(wire.url, from: base, of: "challenge's URL")
        status = wire.status
        token = wire.token
        error = wire.error.map { ACMEProblem($0) }
    }

    struct Wire: Decodable {
        let type: String
        let url: String
        let status: Status
        let token: String
        @IfReadable var error: ACMEProblem.Wire?
    }
}
