import PKI
import Remote

/// A signed message in flattened JSON (RFC 7515 section 7.2.2, RFC 8555 section 6.2).
struct JWS: Codable {
    let protected: String
    let payload: String
    let signature: String

    /// How the header identifies the signing key: by the public key itself, or by the account's URL.
    enum Signer {
        case key
        case account(ACMEURL)
    }

    private struct Header: Encodable {
        let alg: String
        var jwk: [String: String]?
        var kid: String?
        var nonce: String?
        let url: String
    }

    /// Signs a message. `nonce` is nil for the inner message of a key change (RFC 8555 section 7.3.5).
    init(_ payload: [UInt8], to url: ACMEURL, nonce: String?, key: PrivateKey, signer: Signer) throws(ACMEError) {
        do throws(PKIError) {
            var header = Header(alg: try key.jwsAlgorithm.rawValue, nonce: nonce, url: url.text)
            switch signer {
            case .key: header.jwk = try key.jsonWebKey.members
            case .account(let account): header.kid = account.text
            }
            try self.init(header, payload) { input throws(PKIError) in try key.signature(of: input) }
        } catch {
            throw .signing(error)
        }
    }

    /// Binds an account key to an external account (RFC 8555 section 7.3.4).
    init(binding key: JSONWebKey, to account: ACMEExternalAccount, at url: ACMEURL) throws(ACMEError) {
        do throws(PKIError) {
            let header = Header(alg: "HS256", kid: account.keyID, url: url.text)
            try self.init(header, Array(key.json.utf8)) { input throws(PKIError) in
                try HMAC.sha256(key: account.macKey, message: input)
            }
        } catch {
            throw .signing(error)
        }
    }

    private init(
        _ header: Header, _ payload: [UInt8], sign: ([UInt8]) throws(PKIError) -> [UInt8]
    ) throws(PKIError) {
        protected = Base64URL.text(RemoteJSON.encode(header))
        self.payload = Base64URL.text(payload)
        signature = Base64URL.text(try sign(Array("\(protected).\(self.payload)".utf8)))
    }
}
