import PKI
import Remote

/// An identifier in Cloudflare's answers. It is checked, since Aegis puts it into URL paths. A number counts as its
/// digits.
struct CloudflareID: Decodable {
    let text: String

    /// Accepts 1 to 100 letters, digits and hyphens, or a number that is not negative.
    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        let text =
            if let number = try? value.decode(UInt64.self) { String(number) } else {
                try value.decode(String.self)
            }
        let isPlain = text.utf8.allSatisfy { byte in
            byte == UInt8(ascii: "-") || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                || UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20
        }
        guard isPlain, 1...100 ~= text.utf8.count else {
            throw DecodingError.dataCorruptedError(in: value, debugDescription: "no identifier of Cloudflare")
        }
        self.text = text
    }
}

/// A whole number in Cloudflare's answers, which may be written as a text.
struct CloudflareNumber: Decodable {
    let value: Int

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Int.self) {
            value = number
        } else if let number = Int(try container.decode(String.self)) {
            value = number
        } else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "no whole number")
        }
    }
}

/// A text in PEM in Cloudflare's answers. A line break may be escaped twice, so that it arrives as a backslash and an
/// `n`, which PEM can't contain.
struct CloudflarePEM: Decodable {
    let text: String

    init(from decoder: any Decoder) throws {
        text = try decoder.singleValueContainer().decode(String.self).replacing("\\r", with: "")
            .replacing("\\n", with: "\n")
    }
}
