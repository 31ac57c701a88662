/// The 256-bit key that seals all secrets in a state (Aegis's database).
package struct MasterKey: Sendable {
    /// An identifier that does not reveal the key: the first 8 bytes of the SHA-256 of a label and the key, in hex.
    package let id: String
    let bytes: SecretBytes
    let idBytes: [UInt8]

    static let byteCount = 32
    private static let idLabel = "aegis master key id\0"

    private init(bytes: SecretBytes) {
        let label = Array(Self.idLabel.utf8)
        let input = SecretBytes(capacity: label.count + bytes.count) { output in
            for byte in label { output.append(byte) }
            bytes.withBytes { key in
                for index in key.indices { output.append(key[index]) }
            }
        }
        self.bytes = bytes
        idBytes = Array(input.withBytes(OpenSSL.sha256).prefix(8))
        id = Hex.text(idBytes)
    }

    package static func generate() throws(PKIError) -> MasterKey {
        MasterKey(bytes: try OpenSSL.secretRandomBytes(byteCount))
    }

    /// Reads a key from 64 hex digits.
    package init(hex: SecretBytes) throws(PKIError) {
        let key = try hex.withBytes { text throws(PKIError) in
            guard text.count == 2 * Self.byteCount else { throw PKIError.badMasterKey }
            return try SecretBytes(capacity: Self.byteCount) { output throws(PKIError) in
                for index in 0..<Self.byteCount {
                    guard let high = Hex.value(text[2 * index]), let low = Hex.value(text[2 * index + 1]) else {
                        throw PKIError.badMasterKey
                    }
                    output.append(high << 4 | low)
                }
            }
        }
        self.init(bytes: key)
    }

    /// Reads a key from 64 hex digits. The caller's String can't be wiped, so prefer `SecretBytes` for real keys.
    package init(hex: String) throws(PKIError) {
        try self.init(hex: SecretBytes(Array(hex.utf8)))
    }

    /// The key as 64 lower-case hex digits.
    package func hex() -> SecretBytes {
        SecretBytes(capacity: 2 * Self.byteCount) { output in
            bytes.withBytes { key in
                for index in key.indices {
                    output.append(Hex.digit(key[index] >> 4))
                    output.append(Hex.digit(key[index] & 15))
                }
            }
        }
    }
}

extension MasterKey: Equatable {
    /// Compares two keys in constant time.
    package static func == (left: MasterKey, right: MasterKey) -> Bool { left.bytes == right.bytes }
}

extension MasterKey: CustomStringConvertible, CustomReflectable {
    /// The description shows only the key's id, never its bytes.
    package var description: String { "master key \(id)" }
    /// The mirror has no children, so a dump of the key shows no bytes.
    package var customMirror: Mirror { Mirror(self, children: []) }
}
