import HTTPClient
import PKI
import Remote

/// A text of an answer that is secret. The JSON reader's own copies are not wiped.
struct SecretText: Decodable, Sendable {
    let bytes: SecretBytes

    init(from decoder: any Decoder) throws {
        bytes = SecretBytes(Array(try decoder.singleValueContainer().decode(String.self).utf8))
    }
}

/// The form of every successful answer.
struct VaultEnvelope<Content: Decodable>: Decodable {
    let data: Content?
    let auth: VaultAuth?
    /// What Vault did in another way than was asked. No call fails because of these.
    @IfReadable private var warnings: [String]?
    @IfReadable private var leaseID: String?

    private enum CodingKeys: String, CodingKey {
        case data, auth, warnings
        case leaseID = "lease_id"
    }

    private static var maximumWarnings: Int { 10 }

    /// Whether the content hangs on a lease, which ends with the token at the latest.
    var isLeased: Bool { !(leaseID ?? "").isEmpty }

    /// The warnings, each in one line, without the secrets of the call.
    func notes(hiding secrets: [SecretBytes]) -> [String] {
        guard let warnings, !warnings.isEmpty else { return [] }
        let mask = SecretMask(secrets)
        return warnings.prefix(Self.maximumWarnings).map { mask.hiding(in: $0).oneLine(limit: 500) }
    }
}

/// The content of an answer that has none that matters.
struct VaultNothing: Decodable {}

/// A token, as logins and renewals give it.
struct VaultAuth: Decodable {
    let token: SecretText
    /// The rest of the token's life in seconds. 0 if it does not end.
    let seconds: Int64
    @IfReadable var isRenewable: Bool?
    /// How often the token may be used. 0 means any number of times.
    @IfReadable var uses: Int64?

    private enum CodingKeys: String, CodingKey {
        case token = "client_token"
        case seconds = "lease_duration"
        case isRenewable = "renewable"
        case uses = "num_uses"
    }
}

/// What a token may know of itself (`auth/token/lookup-self`). The answer has the token in it too, which is not read.
struct VaultTokenFacts: Decodable {
    /// The rest of the token's life in seconds. 0 if it does not end.
    let seconds: Int64
    /// The token's life when it was made, in seconds.
    @IfReadable var createdSeconds: Int64?
    @IfReadable var isRenewable: Bool?
    @IfReadable var uses: Int64?

    private enum CodingKeys: String, CodingKey {
        case seconds = "ttl"
        case createdSeconds = "creation_ttl"
        case isRenewable = "renewable"
        case uses = "num_uses"
    }
}
