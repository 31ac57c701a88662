import PKI
import Remote

/// How control over a name is shown. The raw value is the type's name.
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
    /// Where an authorization stands (RFC 8555, section 7.1.6).
    package enum Status: String, Sendable {
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
    package struct Challenge: Sendable, Hashable {
        /// Where a challenge stands (RFC 8555, section 7.1.6).
        package enum Status: String, Sendable {
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
        package let type: ACMEChallengeType
        /// Where the CA is told that it is answered.
        package let url: ACMEURL
        /// Where it stands.
        package let status: Status
        /// What tells it from others: 1 to 256 digits of base64url.
        package let token: String
        /// Why it has failed.
        package let error: ACMEProblem?
    }

    /// Where it is looked at.
    package let url: ACMEURL
    /// The name; for a wildcard, what stands behind the `*.`. Nil where the CA does not say it.
    package private(set) var identifier: ACMEIdentifier?
    /// Whether it is for the wildcard below the name.
    package private(set) var isWildcard: Bool
    /// Where it stands.
    package let status: Status
    /// The challenges that we know.
    package let challenges: [Challenge]
    /// The types of all challenges, for people: also of those that can't be used, with the reason.
    package let offeredTypes: [String]
    /// When it ends, in seconds since 1970.
    package let expires: Int64?
    /// How long the CA wants to be left alone about it.
    package let retryAfter: Duration?
    /// What of it can't be read or is written oddly, a line each.
    package let oddities: [String]

    /// The name as it was ordered.
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

    /// Says which of the ordered names it is for, where the CA does not.
    package mutating func setName(_ name: ACMEIdentifier) {
        // Some write the wildcard into the name.
        if case .dns(let text) = name, text.hasPrefix("*.") {
            (identifier, isWildcard) = (.dns(String(text.dropFirst(2))), true)
        } else {
            (identifier, isWildcard) = (name, false)
        }
    }

    /// Where an authorization stands that does not say so: its challenges do (RFC 8555, section 7.1.6).
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
        /// Of no use once it is valid, so some leave them out then.
        @IfReadable var challenges: ReadableList<Challenge.Wire>?
    }
}

extension ACMEAuthorization.Challenge {
    /// Nil for one of a type that we don't know, of which nothing else is read, whatever it may hold.
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
        // One that waits is answered once, whatever comes of it.
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

        /// What is odd about one that can be used.
        var oddity: String? {
            guard type.flatMap({ ACMEChallengeType(rawValue: $0.lowercased()) }) != nil else { return nil }
            guard let status else { return "without a 'status' that can be read" }
            return status.oddity.map { "whose 'status' is \($0)" }
        }
    }
}
