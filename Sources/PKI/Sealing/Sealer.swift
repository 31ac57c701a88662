import COpenSSL

/// Seals secrets with AES-256-GCM (NIST SP 800-38D). A sealed secret can be opened only with the purpose and row that
/// it was sealed for.
///
/// An envelope consists of the version (1 byte), the master key's id (8), a random nonce (12), the ciphertext and the
/// tag (16). Version, purpose and row are authenticated. Version 2 also authenticates a partner: an object without
/// which the secret is useless, such as the certificate of a private key. Because nonces are random, one master key may
/// seal at most 2^32 times.
package struct Sealer: Sendable {
    /// The key that seals. It also opens the envelopes that it has sealed.
    package let key: MasterKey
    /// Former master keys, which only open envelopes. While the master key is being replaced, some rows are still
    /// sealed with former keys.
    package let olderKeys: [MasterKey]

    /// The largest content of an envelope, 1 GiB.
    package static let maximumBytes = 1 << 30
    /// How many bytes an envelope is longer than its content.
    package static let overheadBytes = headerBytes + nonceBytes + tagBytes

    private static let versionWithoutPartner: UInt8 = 1
    private static let versionWithPartner: UInt8 = 2
    private static let headerBytes = 9
    private static let nonceBytes = 12
    private static let tagBytes = 16

    package init(key: MasterKey, olderKeys: [MasterKey] = []) {
        self.key = key
        self.olderKeys = olderKeys
    }

    /// Returns the id of the key that sealed an envelope, without opening the envelope.
    package static func keyID(of sealed: [UInt8]) throws(SealError) -> String {
        guard let version = sealed.first else { throw .truncated }
        guard version == versionWithoutPartner || version == versionWithPartner else { throw .unknownVersion(version) }
        guard sealed.count >= overheadBytes else { throw .truncated }
        return Hex.text(sealed[1..<headerBytes])
    }

    /// Whether an envelope was sealed with a partner. Such an envelope opens only with the same partner.
    package static func hasPartner(_ sealed: [UInt8]) -> Bool { sealed.first == versionWithPartner }

    /// Seals a secret. `purpose` is a fixed text such as "certificate key", and `row` is the id of the row in the
    /// state.
    package func seal(_ plain: SecretBytes, purpose: String, row: String, partner: String? = nil) throws(SealError)
        -> [UInt8]
    {
        try plain.withBytes { bytes throws(SealError) in
            try seal(bytes, purpose: purpose, row: row, partner: partner)
        }
    }

    /// Seals bytes that are not in a `SecretBytes`, such as the text of a file. Copying a large text into a
    /// `SecretBytes` would take as long as sealing it.
    package func seal(_ plain: Span<UInt8>, purpose: String, row: String, partner: String? = nil) throws(SealError)
        -> [UInt8]
    {
        guard plain.count <= Self.maximumBytes else { throw .tooLarge }
        do throws(PKIError) {
            let nonce = try OpenSSL.randomBytes(Self.nonceBytes)
            let cipher = try GCM(key: key.bytes, nonce: nonce, direction: .seal)
            let version = partner == nil ? Self.versionWithoutPartner : Self.versionWithPartner
            try cipher.authenticate(Self.place(version, [purpose, row] + (partner.map { [$0] } ?? [])))
            var envelope: [UInt8] = []
            envelope.reserveCapacity(plain.count + Self.overheadBytes)
            envelope += [version] + key.idBytes + nonce
            let start = envelope.count
            envelope += repeatElement(0, count: plain.count)
            var whole = envelope.mutableSpan
            var ciphertext = whole._mutatingExtracting(start...)
            try cipher.process(plain, into: &ciphertext)
            envelope += try cipher.finish(tagBytes: Self.tagBytes)
            return envelope
        } catch {
            throw .failed(error)
        }
    }

    /// Opens an envelope. `purpose` and `row` must be the values with which the envelope was sealed. If it was sealed
    /// with a partner, `partner` must be the same. Otherwise `partner` is ignored.
    package func open(_ sealed: [UInt8], purpose: String, row: String, partner: String? = nil) throws(SealError)
        -> SecretBytes
    {
        let id = try Self.keyID(of: sealed)
        guard sealed.count - Self.overheadBytes <= Self.maximumBytes else { throw .tooLarge }
        guard let key = ([key] + olderKeys).first(where: { $0.id == id }) else {
            throw .wrongKey(sealedWith: id, atHand: ([key] + olderKeys).map(\.id))
        }
        let nonceEnd = Self.headerBytes + Self.nonceBytes
        let tagStart = sealed.count - Self.tagBytes
        do throws(PKIError) {
            let nonce = Array(sealed[Self.headerBytes..<nonceEnd])
            let cipher = try GCM(key: key.bytes, nonce: nonce, direction: .open)
            let partner = Self.hasPartner(sealed) ? partner.map { [$0] } ?? [] : []
            try cipher.authenticate(Self.place(sealed[0], [purpose, row] + partner))
            let plain = try SecretBytes(capacity: tagStart - nonceEnd) { output throws(PKIError) in
                output.append(repeating: 0, count: tagStart - nonceEnd)
                var bytes = output.mutableSpan
                try cipher.process(sealed.span.extracting(nonceEnd..<tagStart), into: &bytes)
            }
            // The plain text is returned only if the tag is correct. A wrong tag means that the bytes were changed.
            if try cipher.verify(tag: Array(sealed[tagStart...])) { return plain }
        } catch {
            throw .failed(error)
        }
        throw .damaged
    }

    /// The data that GCM authenticates. The length before each part ensures that different lists of parts give
    /// different data.
    private static func place(_ version: UInt8, _ parts: [String]) -> [UInt8] {
        parts.reduce(into: [version]) { data, part in
            let length = UInt64(part.utf8.count)
            data += (0..<8).map { UInt8(truncatingIfNeeded: length >> (56 - 8 * $0)) }
            data += part.utf8
        }
    }
}
