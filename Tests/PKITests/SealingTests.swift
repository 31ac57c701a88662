import Testing

@testable import PKI

@Suite struct SealingTests {
    private let key: MasterKey
    private let sealer: Sealer

    init() throws {
        key = try MasterKey(hex: String(repeating: "0a1B", count: 16))
        sealer = Sealer(key: key)
    }

    @Test("A sealed value opens for its own row", arguments: [0, 1, 16, 17, 1000, 100_000])
    func roundTrip(_ count: Int) throws {
        let plain = SecretBytes((0..<count).map { UInt8(truncatingIfNeeded: $0) })
        let sealed = try sealer.seal(plain, purpose: "certificate key", row: "7")
        #expect(sealed.count == count + Sealer.overheadBytes)
        #expect(sealed.first == 1)
        #expect(try Sealer.keyID(of: sealed) == key.id)
        #expect(try sealer.open(sealed, purpose: "certificate key", row: "7") == plain)
    }

    @Test("Sealing the same bytes twice gives different ciphertexts")
    func nonces() throws {
        let plain = SecretBytes([1, 2, 3])
        let sealed = try (0..<1000).map { _ in try sealer.seal(plain, purpose: "p", row: "r") }
        #expect(Set(sealed).count == 1000)
    }

    @Test("A ciphertext of another row or purpose does not open, even if the joined names are equal")
    func swapped() throws {
        let plain = SecretBytes(Array("key".utf8))
        let sealed = try sealer.seal(plain, purpose: "ab", row: "c")
        for (purpose, row) in [("ab", "d"), ("a", "bc"), ("abc", ""), ("", "abc"), ("c", "ab"), ("ab", "c\0")] {
            #expect(throws: SealError.damaged) { try sealer.open(sealed, purpose: purpose, row: row) }
        }
    }

    @Test("A value sealed with a partner opens only with it; one without opens with any")
    func partners() throws {
        let plain = SecretBytes(Array("key".utf8))
        let sealed = try sealer.seal(plain, purpose: "p", row: "r", partner: "leaf")
        #expect(sealed.first == 2 && Sealer.hasPartner(sealed))
        #expect(try sealer.open(sealed, purpose: "p", row: "r", partner: "leaf") == plain)
        for partner in [nil, "", "leaf2"] {
            #expect(throws: SealError.damaged) { try sealer.open(sealed, purpose: "p", row: "r", partner: partner) }
        }
        #expect(throws: SealError.damaged) { try sealer.open(sealed, purpose: "p", row: "rleaf") }
        let withoutPartner = try sealer.seal(plain, purpose: "p", row: "r")
        #expect(!Sealer.hasPartner(withoutPartner))
        #expect(try sealer.open(withoutPartner, purpose: "p", row: "r", partner: "leaf") == plain)
        // The version byte can't be changed after sealing.
        #expect(throws: SealError.damaged) {
            try sealer.open([1] + sealed[1...], purpose: "p", row: "r", partner: "leaf")
        }
        #expect(throws: SealError.damaged) { try sealer.open([2] + withoutPartner[1...], purpose: "p", row: "r") }
    }

    @Test("An envelope cut off at any length does not open")
    func truncated() throws {
        let sealed = try sealer.seal(SecretBytes([UInt8](repeating: 9, count: 40)), purpose: "p", row: "r")
        for length in 0..<sealed.count {
            let expected: SealError = length < Sealer.overheadBytes ? .truncated : .damaged
            #expect(throws: expected) { try sealer.open(Array(sealed[..<length]), purpose: "p", row: "r") }
        }
        #expect(throws: SealError.damaged) { try sealer.open(sealed + [0], purpose: "p", row: "r") }
    }

    @Test("An envelope with any changed bit does not open, and the error says why")
    func flipped() throws {
        let sealed = try sealer.seal(SecretBytes([UInt8](repeating: 9, count: 20)), purpose: "p", row: "r")
        for index in sealed.indices {
            for bit in 0..<8 {
                var bytes = sealed
                bytes[index] ^= 1 << UInt8(bit)
                let expected: SealError =
                    switch index {
                    case 0: .unknownVersion(bytes[0])
                    case 1..<9: .wrongKey(sealedWith: Hex.text(bytes[1..<9]), atHand: [key.id])
                    default: .damaged
                    }
                #expect(throws: expected) { try sealer.open(bytes, purpose: "p", row: "r") }
            }
        }
    }

    @Test("With another master key, the error names both keys")
    func wrongKey() throws {
        let other = try MasterKey.generate()
        let sealed = try Sealer(key: other).seal(SecretBytes([1]), purpose: "p", row: "r")
        #expect(throws: SealError.wrongKey(sealedWith: other.id, atHand: [key.id])) {
            try sealer.open(sealed, purpose: "p", row: "r")
        }
        let text = SealError.wrongKey(sealedWith: other.id, atHand: [key.id]).description
        #expect(text == "sealed with the master key \(other.id), but the one at hand is \(key.id)")
    }

    @Test("During a change of keys the old key still opens, and the new key seals")
    func rekey() throws {
        let newer = try MasterKey.generate()
        let both = Sealer(key: newer, olderKeys: [key])
        let plain = SecretBytes([1, 2])
        let old = try sealer.seal(plain, purpose: "p", row: "r")
        #expect(try both.open(old, purpose: "p", row: "r") == plain)
        let new = try both.seal(plain, purpose: "p", row: "r")
        #expect(try Sealer(key: newer).open(new, purpose: "p", row: "r") == plain)
    }

    @Test("A master key is 64 hex digits in either case, and its id is fixed")
    func masterKey() throws {
        #expect(key.hex().string == String(repeating: "0a1b", count: 16))
        #expect(key == (try MasterKey(hex: String(repeating: "0A1b", count: 16))))
        // Another program computed the SHA-256 of the label, NUL and the key.
        #expect(key.id == "4916e4a96e22cf45")
        let bad = ["", "0a", String(repeating: "0", count: 63), String(repeating: "g", count: 64)]
        for text in bad + [String(repeating: "0", count: 66), String(repeating: "é", count: 32)] {
            #expect(throws: PKIError.badMasterKey) { try MasterKey(hex: text) }
        }
        #expect(try MasterKey.generate() != MasterKey.generate())
    }

    @Test("An envelope has the documented format, so another program could open it")
    func knownAnswer() throws {
        // Python's cryptography made this with AES-256-GCM: the nonce is twelve bytes 7, and the additional data was
        // written out by hand.
        let sealed = Self.bytes(
            "014916e4a96e22cf45070707070707070707070707b4287d27897d320af41effa508498b0f13f6a0597a7244abea5ba322bae1")
        let plain = try sealer.open(sealed, purpose: "certificate key", row: "42")
        #expect(plain.string == "attack at dawn")
        let withPartner = Self.bytes(
            "024916e4a96e22cf45070707070707070707070707b4287d27897d320af41effa50849f8f1fcbe730e6c5c48ae3dd0e2defcd1")
        #expect(
            try sealer.open(withPartner, purpose: "certificate key", row: "42", partner: "ab").string
                == "attack at dawn")
    }

    private static func bytes(_ hex: String) -> [UInt8] {
        let digits = hex.utf8.compactMap(Hex.value)
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }
}
