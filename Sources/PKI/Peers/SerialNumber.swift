import COpenSSL

/// A certificate's serial number in 24 bytes, since a set may hold hundreds of thousands.
///
/// The first byte contains the length and the sign; the magnitude follows. RFC 5280 section 4.1.2.2 allows at most 20
/// bytes. For a number of more than 23 bytes, the first 23 bytes of its SHA-256 are stored instead.
struct SerialNumber: Hashable, Sendable {
    private let words: [3 of UInt64]

    /// Reads an `ASN1_INTEGER`.
    init(_ number: UnsafePointer<ASN1_INTEGER>) {
        let isNegative = unsafe ASN1_STRING_type(number) == V_ASN1_NEG_INTEGER
        self.init(magnitude: unsafe OpenSSL.bytes(of: number), isNegative: isNegative)
    }

    /// Makes a serial number from the big-endian bytes of its magnitude.
    init(magnitude: [UInt8], isNegative: Bool = false) {
        let digits = magnitude.drop { $0 == 0 }
        let isLong = digits.count > 23
        let content = isLong ? OpenSSL.sha256(Array(digits).span).prefix(23) : digits
        let head = UInt8(isLong ? 0x7F : digits.count) | (isNegative ? 0x80 : 0)
        var words: [3 of UInt64] = [0, 0, 0]
        for (index, byte) in ([head] + content).enumerated() {
            words[index / 8] |= UInt64(byte) << UInt64(56 - index % 8 * 8)
        }
        self.words = words
    }

    static func == (left: SerialNumber, right: SerialNumber) -> Bool {
        left.words[0] == right.words[0] && left.words[1] == right.words[1] && left.words[2] == right.words[2]
    }

    func hash(into hasher: inout Hasher) {
        for index in words.indices { hasher.combine(words[index]) }
    }
}
