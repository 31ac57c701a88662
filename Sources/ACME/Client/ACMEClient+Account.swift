import PKI
import Remote

extension ACMEClient {
    private struct NewAccount: Encodable {
        var contact: [String]?
        var externalAccountBinding: JWS?
        var onlyReturnExisting: Bool?
        var termsOfServiceAgreed: Bool?
    }

    private struct Contact: Encodable {
        let contact: [String]
    }

    private struct KeyChange: Encodable {
        let account: String
        let oldKey: [String: String]
    }

    /// Makes an account for the client's key and agrees to the CA's terms. If the key already has an account, finds it
    /// (RFC 8555 section 7.3). Only the account's URL is read from the answer.
    ///
    /// - Parameters:
    ///   - contact: URLs such as "mailto:ops@example.com".
    ///   - externalAccount: The account to bind to, if the CA requires one.
    ///   - onlyExisting: If true, no account is made. If none exists, the CA refuses with `accountDoesNotExist`.
    @discardableResult
    package func account(
        contact: [String], externalAccount: ACMEExternalAccount? = nil, onlyExisting: Bool = false
    ) throws -> ACMEURL {
        let directory = try directory()
        var request = NewAccount()
        if onlyExisting {
            request.onlyReturnExisting = true
        } else {
            request.contact = contact.isEmpty ? nil : contact
            request.termsOfServiceAgreed = true
            if let externalAccount {
                request.externalAccountBinding = try JWS(
                    binding: Self.jwk(of: key), to: externalAccount, at: directory.newAccount)
            } else if directory.isExternalAccountRequired {
                throw ACMEError.externalAccountRequired
            }
        }
        let response = try post(RemoteJSON.encode(request), to: directory.newAccount, by: .accountKey)
        let account = try Self.location(of: response, from: directory.newAccount, "account")
        state.withLock {
            $0.account = account
            $0.oddities += Self.oddity(of: response.body, "account").map { [$0] } ?? []
        }
        return account
    }

    /// Replaces the contact addresses of the account (RFC 8555 section 7.3.2). An empty list removes them. `account(…)`
    /// does not change the addresses of an existing account.
    package func updateContact(_ contact: [String]) throws {
        guard let account = accountURL else { throw ACMEError.noAccount }
        _ = try post(RemoteJSON.encode(Contact(contact: contact)), to: account)
    }

    /// Replaces the account's key at the CA and in this client (RFC 8555 section 7.3.5).
    package func changeKey(to newKey: PrivateKey) throws {
        guard let url = try directory().keyChange else { throw ACMEError.unsupported("keyChange") }
        guard let account = accountURL else { throw ACMEError.noAccount }
        let change = KeyChange(account: account.text, oldKey: try Self.jwk(of: key).members)
        let inner = try JWS(RemoteJSON.encode(change), to: url, nonce: nil, key: newKey, signer: .key)
        _ = try post(RemoteJSON.encode(inner), to: url, isRepeatable: false)
        state.withLock { $0.key = newKey }
    }

    private static func jwk(of key: PrivateKey) throws(ACMEError) -> JSONWebKey {
        do throws(PKIError) {
            return try key.jsonWebKey
        } catch {
            throw .signing(error)
        }
    }

    /// Reads the URL of a new resource from the answer to a request to `base`.
    static func location(
        of response: ACMEHTTPResponse, from base: ACMEURL, _ thing: String
    ) throws(ACMEError) -> ACMEURL {
        guard let location = response.location else {
            throw .malformed("answer", reason: "it does not say where the \(thing) is")
        }
        return try ACMEURL(location, from: base, of: "\(thing)'s URL")
    }
}
