import COpenSSL

/// Seals secrets with AES-256-GCM (NIST SP 800-38D) so that they open only at their own place.
///
/// An envelope is: version (1 byte), the master key's id (8), a random nonce (12), ciphertext, tag (16). Version, purpose and
/// row are authenticated with it; in version 2 also the secret's partner, what it is good for nothing without, such as the
/// certificate of a key. With random nonces one key is good for 2^32 seals.
package struct Sealer: Sendable {
    /// Seals, and opens what it has sealed.
    package let key: MasterKey
    /// Opens only: what is still sealed with these while keys are changed.
    package let olderKeys: [MasterKey]

    /// The most that is sealed at once: 1 GiB.
    package static let maximumBytes = 1 << 30
    /// By how much an envelope is larger than what is in it.
    package static let overheadBytes = headerBytes + nonceBytes + tagBytes

    private static let lonely: UInt8 = 1
    private static let partnered: UInt8 = 2
    private static let headerBytes = 9
    private static let nonceBytes = 12
    private static let tagBytes = 16

    /// A sealer with one key, and others that may open.
    package init(key: MasterKey, olderKeys: [MasterKey] = []) {
        self.key = key
        self.olderKeys = olderKeys
    }

    /// The id of the key that an envelope was sealed with, without opening it.
    package static func keyID(of sealed: [UInt8]) throws(SealError) -> String {
        guard let version = sealed.first else { throw .truncated }
        guard version == lonely || version == partnered else { throw .unknownVersion(version) }
        guard sealed.count >= overheadBytes else { throw .truncated }
        return Hex.text(sealed[1..<headerBytes])
    }

    /// Whether an envelope opens only with the partner that it was sealed with.
    package static func hasPartner(_ sealed: [UInt8]) -> Bool { sealed.first == partnered }

    /// Seals bytes for a purpose, such as "certificate key", a row, such as its id, and a partner, where it has one.
    package func seal(_ plain: SecretBytes, purpose: String, row: String, partner: String? = nil) throws(SealError)
        -> [UInt8]
    {
        try plain.withBytes { bytes throws(SealError) in
            try seal(bytes, purpose: purpose, row: row, partner: partner)
        }
    }

    /// The same for bytes that lie elsewhere, such as a file's text: a copy of a large one would cost as much as sealing it.
    package func seal(_ plain: Span<UInt8>, purpose: String, row: String, partner: String? = nil) throws(SealError)
        -> [UInt8]
    {
        guard plain.count <= Self.maximumBytes else { throw .tooLarge }
        do throws(PKIError) {
            let nonce = try OpenSSL.randomBytes(Self.nonceBytes)
            let cipher = try GCM(key: key.bytes, nonce: nonce, direction: .seal)
            let version = partner == nil ? Self.lonely : Self.partnered
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

    /// Opens what was sealed for the same purpose and row, and for the same partner if for one.
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
            // Nobody sees the plain bytes before the tag is known to be right.
            if try cipher.verify(tag: Array(sealed[tagStart...])) { return plain }
        } catch {
            throw .failed(error)
        }
        throw .damaged
    }

    /// The additional data: each part with its length before it, so that no two places read the same.
    private static func place(_ version: UInt8, _ parts: [String]) -> [UInt8] {
        parts.reduce(into: [version]) { data, part in
            let length = UInt64(part.utf8.count)
            data += (0..<8).map { UInt8(truncatingIfNeeded: length >> (56 - 8 * $0)) }
            data += part.utf8
        }
    }
}
