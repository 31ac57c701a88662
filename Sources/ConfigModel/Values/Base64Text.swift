/// Checks keys that another party has issued in base64 (RFC 4648).
enum Base64Text {
    /// Whether a text is base64 of at least one byte, with padding or without, with line ends in it, and with blanks
    /// around it.
    /// With `isURL` the digits of base64url are accepted too, but not both kinds in one text.
    static func isKey(_ text: String, isURL: Bool) -> Bool {
        let isBlank = { (byte: UInt8) in byte == 0x20 || 0x09...0x0D ~= byte }
        let line = text.utf8.filter { $0 != 0x0A && $0 != 0x0D }
        let bytes = Array(line.drop(while: isBlank).reversed().drop(while: isBlank).reversed())
        let padding = bytes.reversed().prefix { $0 == UInt8(ascii: "=") }.count
        let digits = bytes.dropLast(padding)
        guard !digits.isEmpty, digits.count % 4 != 1, padding == 0 || padding <= 2 && bytes.count % 4 == 0,
            let last = isURL ? lastValue(of: digits, "-_") ?? lastValue(of: digits, "+/") : lastValue(of: digits, "+/")
        else { return false }
        // The unused bits of the last digit must be zero.
        return last & (digits.count % 4 == 2 ? 0b1111 : digits.count % 4 == 3 ? 0b11 : 0) == 0
    }

    /// The value of the last base64 digit; nil unless all characters are digits. `specials` are the last two digits of
    /// the alphabet, `+/` or `-_`.
    private static func lastValue(of digits: ArraySlice<UInt8>, _ specials: String) -> Int? {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789\(specials)".utf8)
        guard let last = digits.last, digits.allSatisfy(alphabet.contains) else { return nil }
        return alphabet.firstIndex(of: last)
    }
}
