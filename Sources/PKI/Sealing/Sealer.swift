import COpenSSL

/// Seals secrets with AES-256-GCM (NIST SP 800-38D) so that each opens only for its own purpose and row.
///
/// An envelope is: version (1 byte), the master key's id (8), a random nonce (12), ciphertext, tag (16). Version,
/// purpose and row are authenticated too. Version 2 also authenticates the secret's partner: a thing without which the
/// secret is useless, such as a key's certificate. With random nonces one key is good for 2^32 seals.
package struct Sealer: Sendable {
    /// The key that seals. It also opens the envelopes that it has sealed.
    package let key: MasterKey
    /// Keys that only open: they have sealed the rows that a change of keys has not reached yet.
    package let olderKeys: [MasterKey]

    /// The most bytes that can be sealed at once: 1 GiB.
    package static let maximumBytes = 1 << 30
    /// How many bytes an envelope adds to its content.
    package static let overheadBytes = headerBytes + nonceBytes + tagBytes

    private static let lonely: UInt8 = 1
    private static let partnered: UInt8 = 2
    private static let headerBytes = 9
    private static let nonceBytes = 12
    private static let tagBytes = 16

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

    /// Seals bytes for a purpose (such as "certificate key"), a row (by its id) and, if given, a partner.
    package func seal(_ plain: SecretBytes, purpose: String, row: String, partner: String? = nil) throws(SealError)
        -> [UInt8]
    {
        try plain.withBytes { bytes throws(SealError) in
            try seal(bytes, purpose: purpose, row: row, partner: partner)
        }
    }

    /// Seals bytes that are not in a `SecretBytes`, such as a file's text: copying a large one would cost as much as
    /// sealing it.
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

    /// Opens an envelope that was sealed for the same purpose and row, and for the same partner if it was sealed for
    /// one.
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
            // The plain bytes are returned only after the tag was found to be right.
            if try cipher.verify(tag: Array(sealed[tagStart...])) { return plain }
        } catch {
            throw .failed(error)
        }
        throw .damaged
    }

    /// The additional data: each part preceded by its length, so that no two lists of parts give the same data.
    private static func place(_ version: UInt8, _ parts: [String]) -> [UInt8] {
        parts.reduce(into: [version]) { data, part in
            let length = UInt64(part.utf8.count)
            data += (0..<8).map { UInt8(truncatingIfNeeded: length >> (56 - 8 * $0)) }
            data += part.utf8
        }
    }
}
