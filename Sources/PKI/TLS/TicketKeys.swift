import COpenSSL

/// The keys that session tickets are sealed with (RFC 5077, RFC 8446 section 4.6.1). The newest one seals; all of them
/// open.
///
/// All threads of a gateway share the keys, since most resumptions would fail otherwise. Keys are replaced regularly,
/// so that a leaked key opens no more than some hours of traffic.
package struct TicketKeys: Sendable {
    /// How long a ticket can be used, in seconds. The key that sealed it must be kept as long.
    package static let ticketLifetimeSeconds = 6 * 3600
    /// How often to make a new key, in seconds.
    package static let rotationSeconds = 6 * 3600

    struct Key: Sendable {
        static let nameBytes = 16
        static let cipherKeyBytes = 32
        static let macKeyBytes = 32

        let name: [UInt8]
        /// The key for AES-256-CBC, then the one for HMAC-SHA256.
        let secret: SecretBytes
    }

    let keys: [Key]

    package init() throws(PKIError) { keys = [try Self.makeKey()] }

    private init(_ keys: [Key]) { self.keys = keys }

    /// Adds a new key before the present one. Older keys are dropped.
    package func rotated() throws(PKIError) -> TicketKeys { TicketKeys([try Self.makeKey()] + keys.prefix(1)) }

    private static func makeKey() throws(PKIError) -> Key {
        Key(
            name: try OpenSSL.randomBytes(Key.nameBytes),
            secret: try OpenSSL.secretRandomBytes(Key.cipherKeyBytes + Key.macKeyBytes))
    }

    /// Sets up cipher and MAC when OpenSSL seals (`isSealing`) or opens a ticket.
    ///
    /// - Returns: The result that SSL_CTX_set_tlsext_ticket_key_evp_cb(3) defines: 1 done, 2 done and to be sealed
    ///   again, 0 unknown key, below 0 an error.
    func prepare(
        name: UnsafeMutablePointer<UInt8>, nonce: UnsafeMutablePointer<UInt8>, cipher: OpaquePointer,
        mac: OpaquePointer,
        isSealing: Bool
    ) -> Int32 {
        let index: Int
        if isSealing {
            index = 0
            // The buffers are OpenSSL's: 16 bytes for the name, and as many for the nonce as any cipher takes.
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
                // The MAC's setter only reads the key, though its parameter is mutable.
                let macKey = unsafe UnsafeMutablePointer(mutating: start + Key.cipherKeyBytes)
                return unsafe isSet == 1 && aegis_set_ticket_mac_key(mac, macKey, Key.macKeyBytes) == 1
            }
        }
        guard isReady else { return -1 }
        return index == 0 ? 1 : 2
    }
}
