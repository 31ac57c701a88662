import PKI
import Remote
import Testing

@testable import ACME

@Suite struct SigningTests {
    @Test("An account's message is signed, and names the account, a nonce and the URL")
    func account() throws {
        let key = try ScriptedEdge.rsaKey.get()
        let jws = try JWS(
            Array("{}".utf8), to: ACMEURL("https://ca.test/order"), nonce: "abc", key: key,
            signer: .account(ACMEURL("https://ca.test/account/1")))
        let message = try Message(RemoteJSON.encode(jws))
        #expect(message.header.alg == "RS256")
        #expect(message.header.kid == "https://ca.test/account/1")
        #expect(message.header.jwk == nil)
        #expect(message.header.nonce == "abc")
        #expect(message.header.url == "https://ca.test/order")
        #expect(message.payload == "{}")
        // RS256 signatures are deterministic.
        #expect(message.signature == (try key.signature(of: message.input)))
    }

    @Test("A message with a new key contains the key", arguments: [KeyAlgorithm.ecdsaP256, .ecdsaP384])
    func key(_ algorithm: KeyAlgorithm) throws {
        let key = try PrivateKey.generate(algorithm)
        let jws = try JWS([], to: ACMEURL("https://ca.test/account"), nonce: "abc", key: key, signer: .key)
        let message = try Message(RemoteJSON.encode(jws))
        #expect(message.header.alg == (algorithm == .ecdsaP256 ? "ES256" : "ES384"))
        #expect(message.header.jwk == (try key.jsonWebKey.members))
        #expect(message.header.kid == nil)
        #expect(message.signature.count == (algorithm == .ecdsaP256 ? 64 : 96))
    }

    @Test("An external account is bound as in RFC 8555 section 7.3.4")
    func externalAccount() throws {
        let key = try ScriptedEdge.ecKey.get()
        let macKey = SecretBytes(Array("a key of 32 bytes for the binding".utf8))
        let account = try ACMEExternalAccount(
            keyID: "kid \"1\"", encodedKey: SecretBytes(Array(Base64URL.text(macKey.plainCopy()).utf8)))
        let jws = try JWS(binding: key.jsonWebKey, to: account, at: ACMEURL("https://ca.test/account"))
        let message = try Message(RemoteJSON.encode(jws))
        #expect(message.header.alg == "HS256")
        #expect(message.header.kid == "kid \"1\"")
        #expect(message.header.url == "https://ca.test/account")
        #expect(message.header.nonce == nil)
        #expect(message.header.jwk == nil)
        #expect(message.payload == (try key.jsonWebKey.json))
        #expect(message.signature == (try HMAC.sha256(key: macKey, message: message.input)))
    }

    @Test("A MAC key that is no base64url is refused", arguments: ["", "not base64!", "Zm9v=="])
    func badMACKey(_ text: String) {
        #expect(throws: ACMEError.badExternalAccountKey) {
            try ACMEExternalAccount(keyID: "1", encodedKey: SecretBytes(Array(text.utf8)))
        }
    }

    @Test("A key authorization is the token and the account key's thumbprint")
    func keyAuthorization() throws {
        let key = try ScriptedEdge.ecKey.get()
        let challenges = [Samples.challenge("dns-01", 7)]
        let authorization = try ACMEAuthorization(
            Array(Samples.authorization("a.test", challenges: challenges).utf8),
            url: ACMEURL("https://ca.test/authz/1"), retryAfter: nil)
        let answer = try ACMEKeyAuthorization(authorization.challenges[0], key: key)
        #expect(answer.text == "token-7.\(try key.jsonWebKey.thumbprint)")
        #expect(answer.dnsValue == Base64URL.text(Digest.sha256(Array(answer.text.utf8))))
        #expect(answer.dnsValue.utf8.count == 43)
    }
}
