import HTTPClient
import PKI
import Remote

/// A secret text in an answer. The copies that the JSON reader makes are not wiped.
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
    /// Vault's warnings, such as that it ignored a parameter or shortened the validity. A call never fails because of
    /// them.
    @IfReadable private var warnings: [String]?
    @IfReadable private var leaseID: String?

    private enum CodingKeys: String, CodingKey {
        case data, auth, warnings
        case leaseID = "lease_id"
    }

    private static var maximumWarnings: Int { 10 }

    /// Whether the content has a lease. Such content expires with the token at the latest.
    var isLeased: Bool { !(leaseID ?? "").isEmpty }

    /// The warnings, each in one line, with the call's secrets hidden.
    func notes(hiding secrets: [SecretBytes]) -> [String] {
        guard let warnings, !warnings.isEmpty else { return [] }
        let mask = SecretMask(secrets)
        return warnings.prefix(Self.maximumWarnings).map { mask.hiding(in: $0).oneLine(limit: 500) }
    }
}

/// The content of an answer that is not used.
struct VaultNothing: Decodable {}

/// A token in the answer to a login or a renewal.
struct VaultAuth: Decodable {
    let token: SecretText
    /// The rest of the token's lifetime in seconds. 0 if it does not expire.
    let seconds: Int64
    @IfReadable var isRenewable: Bool?
    /// How many times the token may be used. 0 means any number.
    @IfReadable var uses: Int64?

    private enum CodingKeys: String, CodingKey {
        case token = "client_token"
        case seconds = "lease_duration"
        case isRenewable = "renewable"
        case uses = "num_uses"
    }
}

/// What Vault says about a token (`auth/token/lookup-self`). The answer also contains the token itself, which is not
/// read.
struct VaultTokenFacts: Decodable {
    /// The rest of the token's lifetime in seconds. 0 if it does not expire.
    let seconds: Int64
    /// The token's lifetime when it was created, in seconds.
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
