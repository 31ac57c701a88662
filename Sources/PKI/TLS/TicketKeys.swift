import COpenSSL

/// The keys that encrypt session tickets (RFC 5077, RFC 8446 section 4.6.1). The first key encrypts new tickets, and
/// all keys decrypt.
///
/// All threads of a gateway share the keys, since a client's next connection may reach another thread. Keys are
/// replaced regularly, so a stolen key decrypts only some hours of traffic.
package struct TicketKeys: Sendable {
    /// How long a client can use a ticket, in seconds. The key that encrypted the ticket must be kept as long.
    package static let ticketLifetimeSeconds = 6 * 3600
    /// How often the gateway makes a new key, in seconds.
    package static let rotationSeconds = 6 * 3600

    struct Key: Sendable {
        static let nameBytes = 16
        static let cipherKeyBytes = 32
        static let macKeyBytes = 32

        let name: [UInt8]
        /// The key for AES-256-CBC, followed by the key for HMAC-SHA256.
        let secret: SecretBytes
    }

    let keys: [Key]

    package init() throws(PKIError) { keys = [try Self.makeKey()] }

    private init(_ keys: [Key]) { self.keys = keys }

    /// Returns a copy with a new key in front. Of the present keys, the copy keeps only the newest.
    package func rotated() throws(PKIError) -> TicketKeys { TicketKeys([try Self.makeKey()] + keys.prefix(1)) }

    private static func makeKey() throws(PKIError) -> Key {
        Key(
            name: try OpenSSL.randomBytes(Key.nameBytes),
            secret: try OpenSSL.secretRandomBytes(Key.cipherKeyBytes + Key.macKeyBytes))
    }

    /// Sets the keys of OpenSSL's cipher and MAC when OpenSSL encrypts (`isSealing`) or decrypts a ticket.
    ///
    /// - Returns: A value of SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 1 for success, 2 for success with a request for a
    /// new ticket, 0 for an unknown key, below 0 for an error.
    func prepare(
        name: UnsafeMutablePointer<UInt8>, nonce: UnsafeMutablePointer<UInt8>, cipher: OpaquePointer,
        mac: OpaquePointer,
        isSealing: Bool
    ) -> Int32 {
        let index: Int
        if isSealing {
            index = 0
            // This is safe, since OpenSSL passes a buffer of 16 bytes for `name`, and one for `nonce` that is large
            // enough for any cipher's nonce.
            for byte in 0..<Key.nameBytes { unsafe name[byte] = keys[0].name[byte] }
            guard unsafe RAND_bytes(nonce, 16) == 1 else { return -1 }
        } else {
            let found = keys.firstIndex { key in
                (0..<Key.nameBytes).allSatisfy { unsafe key.name[$0] == name[$0] }
            }
            guard let found else { return 0 }
            index = found
        }
        let isReady = keys[index].secret.withBytes { secret in
            unsafe secret.withUnsafeBufferPointer { secret in
                guard let start = secret.baseAddress else { return false }
                let isSet = unsafe EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nil, start, nonce, isSealing ? 1 : 0)
                // This is safe: OSSL_PARAM_construct_octet_string takes a mutable pointer but only stores it, and
                // EVP_MAC_CTX_set_params only reads the key.
                let macKey = unsafe UnsafeMutablePointer(mutating: start + Key.cipherKeyBytes)
                return unsafe isSet == 1 && aegis_set_ticket_mac_key(mac, macKey, Key.macKeyBytes) == 1
            }
        }
        guard isReady else { return -1 }
        return index == 0 ? 1 : 2
    }
}
