import PKI
import Remote

/// The way in which an ACME account proves control over a name. The raw value is ACME's word.
package enum ACMEChallengeType: String, Sendable {
    /// The CA fetches a token over plain HTTP (RFC 8555 section 8.3).
    case http01 = "http-01"
    /// The CA checks a certificate in a TLS handshake (RFC 8737).
    case tlsALPN01 = "tls-alpn-01"
    /// The CA looks up a TXT record (RFC 8555 section 8.4).
    case dns01 = "dns-01"
}

/// A CA's record of whether an account controls a name (RFC 8555 section 7.1.4).
package struct ACMEAuthorization: Sendable, Hashable {
    /// The status of an authorization (RFC 8555 section 7.1.6).
    package enum Status: String, Sendable {
        /// No challenge has succeeded yet.
        case pending
        /// The account may order certificates for the name.
        case valid
        /// A challenge has failed.
        case invalid
        /// RFC 8555 has this word for challenges only. For some CAs' authorizations that have it, `ACMEAuthorization.status`
        /// is `pending`.
        case processing
        case deactivated
        case expired
        case revoked
    }

    /// A challenge of an authorization (RFC 8555 section 8).
    package struct Challenge: Sendable, Hashable {
        /// The status of a challenge (RFC 8555 section 7.1.6).
        package enum Status: String, Sendable {
            /// The CA waits until the client says that it has prepared the answer.
            case pending
            /// The CA is validating.
            case processing
            case valid
            case invalid
        }

        package let type: ACMEChallengeType
        /// The challenge's URL. A POST to this URL asks the CA to validate.
        package let url: ACMEURL
        package let status: Status
        /// The token that identifies the challenge: 1 to 256 characters of base64url.
        package let token: String
        /// The reason why validation failed.
        package let error: ACMEProblem?
    }

    package let url: ACMEURL
    /// The name, without the `*.` if it is a wildcard. Nil if the CA's answer does not have it.
    package private(set) var identifier: ACMEIdentifier?
    package private(set) var isWildcard: Bool
    package let status: Status
    /// The challenges of known types.
    package let challenges: [Challenge]
    /// The types of all challenges, for messages.
    package let offeredTypes: [String]
    /// Why challenges of known types can't be used.
    package let faults: [ACMEChallengeType: String]
    /// The time when the authorization expires, in seconds since 1970.
    package let expires: Int64?
    /// The delay that the CA asks for before the next request.
    package let retryAfter: Duration?
    /// A line for each member that is unreadable or oddly written.
    package let oddities: [String]

    /// The name as it was ordered, for messages.
    package var name: String {
        guard let identifier else { return "a name that the CA does not give" }
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
        var faults: [ACMEChallengeType: String] = [:]
        for wire in list?.elements ?? [] {
            if let type = wire.type?.oneLine(limit: 100) { types.append(type) }
            do throws(ACMEError) {
                if let challenge = try Challenge(wire, from: url) { challenges.append(challenge) }
                if let oddity = wire.oddity { oddities.append("a challenge \(oddity)") }
            } catch {
                if let type = wire.knownType { faults[type] = "\(error)" }
                oddities.append("a challenge that is left out: \(error)")
            }
        }
        if wire.$challenges { oddities.append("no list of challenges") }
        if wire.identifier == nil { oddities.append("no 'identifier' that can be read") }
        if let oddity = wire.status.oddity { oddities.append("a 'status' \(oddity)") }
        self.url = url
        var word = wire.status.word
        if word == .processing {
            oddities.append("a 'status' of 'processing'")
            word = .pending
        }
        status = if let word { word } else { try Self.status(following: challenges) }
        if wire.$challenges, status != .valid {
            throw .malformed("authorization", reason: "'challenges' is of the wrong type")
        }
        identifier = nil
        isWildcard = false
        self.challenges = challenges
        offeredTypes = types
        self.faults = faults
        expires = wire.expires.flatMap(RemoteTime.rfc3339)
        self.retryAfter = retryAfter
        self.oddities = oddities.map { "the CA's authorization has \($0)" }
        guard let named = try wire.identifier?.identifier(of: "authorization") else { return }
        setName(named)
        isWildcard = isWildcard || wire.wildcard ?? false
    }

    /// Sets the ordered name. Callers do so if the CA's answer does not have a name.
    package mutating func setName(_ name: ACMEIdentifier) {
        // Some CAs write the `*.` into the name.
        if case .dns(let text) = name, text.hasPrefix("*.") {
            (identifier, isWildcard) = (.dns(String(text.dropFirst(2))), true)
        } else {
            (identifier, isWildcard) = (name, false)
        }
    }

    /// Derives the missing status of an authorization from the statuses of its challenges (RFC 8555 section 7.1.6).
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
        /// Some CAs leave out the challenges of a valid authorization.
        @IfReadable var challenges: ReadableList<Challenge.Wire>?
    }
}

extension ACMEAuthorization.Challenge {
    /// Reads a challenge. Returns nil if its type is unknown, even if other members are malformed.
    init?(_ wire: Wire, from base: ACMEURL) throws(ACMEError) {
        func required(_ value: String?, _ member: String) throws(ACMEError) -> String {
            guard let value else { throw .malformed("challenge", reason: "'\(member)' is missing") }
            return value
        }
        _ = try required(wire.type, "type")
        guard let type = wire.knownType else { return nil }
        let token = try required(wire.token, "token")
        guard !token.hasSuffix("=") else {
            throw .malformed("challenge", reason: "its token ends with '=', which ACME does not allow")
        }
        guard 1...256 ~= token.utf8.count, Base64URL.isText(token.utf8) else {
            throw .malformed("challenge", reason: "its token is not 1 to 256 digits of base64url")
        }
        self.type = type
        url = try ACMEURL(required(wire.url, "url"), from: base, of: "challenge's URL")
        // A challenge without a status counts as pending, since requesting validation once is harmless.
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

        var knownType: ACMEChallengeType? { type.flatMap { ACMEChallengeType(rawValue: $0.lowercased()) } }

        /// A note about an unusual member. Nil if there is none, or if the challenge's type is unknown.
        var oddity: String? {
            guard knownType != nil else { return nil }
            if let url, let oddity = ACMEURL.oddity(of: url) { return "with \(oddity)" }
            guard let status else { return "without a 'status' that can be read" }
            return status.oddity.map { "whose 'status' is \($0)" }
        }
    }
}
