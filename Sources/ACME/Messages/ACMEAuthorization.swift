import PKI
import Remote

/// The type of a challenge, by which control over a name is proved. The raw value is the type's name.
package enum ACMEChallengeType: String, Sendable {
    /// A token over plain HTTP (RFC 8555, section 8.3).
    case http01 = "http-01"
    /// A certificate in a TLS handshake (RFC 8737).
    case tlsALPN01 = "tls-alpn-01"
    /// A TXT record (RFC 8555, section 8.4).
    case dns01 = "dns-01"
}

/// An account's authorization for a name (RFC 8555, section 7.1.4).
package struct ACMEAuthorization: Sendable, Hashable {
    /// The state of an authorization (RFC 8555, section 7.1.6).
    package enum Status: String, Sendable {
        /// A challenge still needs an answer.
        case pending
        /// The account may order certificates for the name.
        case valid
        /// A challenge has failed.
        case invalid
        /// The account has deactivated the authorization.
        case deactivated
        /// The authorization was valid, but has expired.
        case expired
        /// The CA has revoked the authorization.
        case revoked
    }

    /// A challenge of the authorization (RFC 8555, section 8).
    package struct Challenge: Sendable, Hashable {
        /// The state of a challenge (RFC 8555, section 7.1.6).
        package enum Status: String, Sendable {
            /// The challenge waits for an answer.
            case pending
            /// The CA is checking the answer.
            case processing
            /// The answer was right.
            case valid
            /// The answer was wrong.
            case invalid
        }

        package let type: ACMEChallengeType
        /// The challenge's URL. A POST to it tells the CA that the challenge is answered.
        package let url: ACMEURL
        package let status: Status
        /// Identifies the challenge: 1 to 256 digits of base64url.
        package let token: String
        /// The reason why the challenge failed.
        package let error: ACMEProblem?
    }

    package let url: ACMEURL
    /// The name; for a wildcard, the name without the `*.`. Nil where the CA does not say it.
    package private(set) var identifier: ACMEIdentifier?
    /// Whether the authorization is for the wildcard below the name.
    package private(set) var isWildcard: Bool
    package let status: Status
    /// The challenges of known types.
    package let challenges: [Challenge]
    /// The types of all challenges, for messages. A type that can't be used is followed by the reason.
    package let offeredTypes: [String]
    /// The time when the authorization expires, in seconds since 1970.
    package let expires: Int64?
    /// How long the CA wants Aegis to wait before it asks for the authorization again.
    package let retryAfter: Duration?
    /// Members that can't be read or are written oddly, a line each.
    package let oddities: [String]

    /// The name as it was ordered, for messages.
    package var name: String {
        guard let identifier else { return "a name that the CA does not tell" }
        return isWildcard ? "*.\(identifier)" : identifier.text
    }

    package init(_ bytes: [UInt8], url: ACMEURL, retryAfter: Duration?) throws(ACMEError) {
        let wire = try ACMEJSON.decode(Wire.self, from: bytes, of: "authorization")
        let list = wire.challenges
        guard list.map({ $0.elements.count + $0.faults.count }) ?? 0 <= 100 else {
            throw .malformed("authorization", reason: "it has more than 100 challenges")
        }
        var oddities = (list?.faults ?? []).map { "a challenge that can't be read: \($0.reason)" }
        var challenges: [Challenge] = []
        var types: [String] = []
        for wire in list?.elements ?? [] {
            let type = wire.type?.oneLine(limit: 100)
            do throws(ACMEError) {
                if let challenge = try Challenge(wire, from: url) { challenges.append(challenge) }
                if let type { types.append(type) }
                if let oddity = wire.oddity { oddities.append("a challenge \(oddity)") }
            } catch {
                if let type { types.append("\(type) (\(error))") }
                oddities.append("a challenge that is left out: \(error)")
            }
        }
        if wire.$challenges { oddities.append("no list of challenges") }
        if wire.identifier == nil { oddities.append("no 'identifier' that can be read") }
        if let oddity = wire.status.oddity { oddities.append("a 'status' \(oddity)") }
        self.url = url
        status = if let word = wire.status.word { word } else { try Self.status(following: challenges) }
        if wire.$challenges, status != .valid {
            throw .malformed("authorization", reason: "'challenges' is of the wrong type")
        }
        identifier = nil
        isWildcard = false
        self.challenges = challenges
        offeredTypes = types
        expires = wire.expires.flatMap(RemoteTime.rfc3339)
        self.retryAfter = retryAfter
        self.oddities = oddities.map { "the CA's authorization has \($0)" }
        guard let named = try wire.identifier?.identifier(of: "authorization") else { return }
        setName(named)
        isWildcard = isWildcard || wire.wildcard ?? false
    }

    /// Sets the ordered name, for a CA that leaves it out.
    package mutating func setName(_ name: ACMEIdentifier) {
        // Some CAs write the wildcard into the name.
        if case .dns(let text) = name, text.hasPrefix("*.") {
            (identifier, isWildcard) = (.dns(String(text.dropFirst(2))), true)
        } else {
            (identifier, isWildcard) = (name, false)
        }
    }

    /// The state of an authorization that does not tell it: the states of its challenges determine it (RFC 8555,
    /// section 7.1.6).
    private static func status(following challenges: [Challenge]) throws(ACMEError) -> Status {
        if challenges.contains(where: { $0.status == .valid }) { return .valid }
        if challenges.contains(where: { $0.status == .invalid }) { return .invalid }
        guard !challenges.isEmpty else { throw .malformed("authorization", reason: "'status' is missing") }
        return .pending
    }

    private struct Wire: Decodable {
        @IfReadable var identifier: IdentifierWire?
        let status: StatusWord<Status>
        @IfReadable var expires: String?
        @IfReadable var wildcard: Bool?
        /// Once the authorization is valid, some CAs leave the challenges out.
        @IfReadable var challenges: ReadableList<Challenge.Wire>?
    }
}

extension ACMEAuthorization.Challenge {
    /// Reads a challenge; nil if its type is unknown, whatever its other members are.
    init?(_ wire: Wire, from base: ACMEURL) throws(ACMEError) {
        func required(_ value: String?, _ member: String) throws(ACMEError) -> String {
            guard let value else { throw .malformed("challenge", reason: "'\(member)' is missing") }
            return value
        }
        guard let type = ACMEChallengeType(rawValue: try required(wire.type, "type").lowercased()) else { return nil }
        let token = try required(wire.token, "token")
        guard 1...256 ~= token.utf8.count, Base64URL.isText(token.utf8) else {
            throw .malformed("challenge", reason: "its token is not 1 to 256 digits of base64url")
        }
        self.type = type
        url = try ACMEURL(required(wire.url, "url"), from: base, of: "challenge's URL")
        // A challenge without a state counts as pending: answering it once does no harm.
        status = wire.status?.word ?? .pending
        self.token = token
        error = wire.error.map { ACMEProblem($0) }
    }

    struct Wire: Decodable {
        @IfReadable var type: String?
        @IfReadable var url: String?
        @IfReadable var status: StatusWord<Status>?
        @IfReadable var token: String?
        @IfReadable var error: ACMEProblem.Wire?

        /// A note on an odd member of a challenge that can still be used; nil when there is none.
        var oddity: String? {
            guard type.flatMap({ ACMEChallengeType(rawValue: $0.lowercased()) }) != nil else { return nil }
            guard let status else { return "without a 'status' that can be read" }
            return status.oddity.map { "whose 'status' is \($0)" }
        }
    }
}
