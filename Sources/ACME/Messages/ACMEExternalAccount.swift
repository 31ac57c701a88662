import PKI

/// An account at a CA (RFC 8555, section 7.1.2).
public struct ACMEAccount: Sendable, Hashable {
    /// Where an account stands (RFC 8555, section 7.1.6).
    public enum Status: String, Sendable, Decodable {
        /// It can be used.
        case valid
        /// Given up by its owner.
        case deactivated
        /// Taken back by the CA.
        case revoked
    }

    /// Its URL, which is also its key's identifier.
    public let url: ACMEURL
    /// Where it stands.
    public let status: Status

    init(_ bytes: [UInt8], url: ACMEURL) throws(ACMEError) {
        self.url = url
        status = try ACMEJSON.decode(Wire.self, from: bytes, of: "account").status
    }

    private struct Wire: Decodable {
        let status: Status
    }
}

/// An account that the CA knows already, to which a new one is bound (RFC 8555, section 7.3.4).
public struct ACMEExternalAccount: Sendable {
    /// The key's identifier, as the CA has given it.
    public let keyID: String
    /// The MAC key.
    public let macKey: SecretBytes

    /// An account whose MAC key is written in base64url, as CAs hand it out.
    public init(keyID: String, encodedKey: SecretBytes) throws(ACMEError) {
        guard let key = Base64URL.secret(encodedKey), key.count > 0 else { throw .badExternalAccountKey }
        self.keyID = keyID
        macKey = key
    }
}
