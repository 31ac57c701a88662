import COpenSSL

/// Reads and writes PEM blocks (RFC 7468, with the headers of RFC 1421 that OpenSSL's older format has). The reader
/// accepts text around blocks, indented blocks, and line ends of any kind. It throws if a block is cut off or contains
/// characters outside of base64.
package enum PEM {
    /// A block's label, and its position in the text.
    struct Block {
        let label: String
        /// The offset of the BEGIN line.
        let start: Int
        /// Whether a header says that the content is encrypted.
        var isEncrypted = false
        /// The range of the base64 text.
        var body: Range<Int>

        /// Whether the label is that of a certificate. `X509 CERTIFICATE` is an old label (RFC 7468 section 5.1).
        var isCertificate: Bool { label == "CERTIFICATE" || label == "X509 CERTIFICATE" }
    }

    /// The largest text that is read by default, 1 MiB.
    static let maximumTextBytes = 1 << 20
    /// A text with more blocks is rejected. The system's file of trusted roots has about 150 blocks.
    private static let maximumBlocks = 1000
    private static let maximumLabelBytes = 64
    private static let begin = Array("-----BEGIN ".utf8)
    private static let end = Array("-----END ".utf8)
    private static let encrypted = Array("ENCRYPTED".utf8)

    /// What a text contains.
    package struct Content {
        package let hasCertificate: Bool
        package let hasKey: Bool

        /// Nil if the text can't be read.
        package init?(_ text: SecretBytes) {
            let blocks = text.withBytes { text in try? PEM.blocks(in: text) }
            guard let blocks else { return nil }
            hasCertificate = blocks.contains(where: \.isCertificate)
            hasKey = blocks.contains { $0.label.hasSuffix("PRIVATE KEY") }
        }
    }

    /// Returns the DER of each certificate in a text, in the order of the text. The certificates are not parsed.
    package static func certificates(in pem: [UInt8]) throws(PKIError) -> [[UInt8]] {
        let text = pem.span
        var certificates: [[UInt8]] = []
        for block in try certificateBlocks(in: text) {
            certificates.append(try content(of: block, in: text).plainCopy())
        }
        return certificates
    }

    /// Returns the DER of the first block in a text, such as the leaf of a chain. Returns nil if the first block is no
    /// certificate. The rest of the text is not read.
    package static func firstCertificate(in pem: [UInt8]) throws(PKIError) -> [UInt8]? {
        let text = pem.span
        guard let block = try blocks(in: text, atMost: 1).first, block.isCertificate else { return nil }
        return try content(of: block, in: text).plainCopy()
    }

    /// Returns the DER of the first certificate in a text that Aegis has written, such as a stored chain. This function
    /// is many times faster than `firstCertificate(in:)`. `end` is the result of `endOfFirstBlock`. Returns nil for
    /// texts in another form.
    package static func firstCertificate(in pem: [UInt8], endingAt end: Int) -> [UInt8]? {
        let (first, last) = (Array("-----BEGIN CERTIFICATE-----\n".utf8), Array("-----END CERTIFICATE-----\n".utf8))
        guard end <= pem.count, end >= first.count + last.count, pem.starts(with: first),
            pem[(end - last.count)..<end].elementsEqual(last)
        else { return nil }
        let body = pem[first.count..<(end - last.count)]
        let der = unsafe [UInt8](unsafeUninitializedCapacity: body.count / 4 * 3 + 3) { output, count in
            unsafe body.withUnsafeBufferPointer { body in
                // This is safe, since four characters become at most three bytes.
                count = unsafe Int(max(0, aegis_decode_base64(body.baseAddress, Int32(body.count), output.baseAddress)))
            }
        }
        return der.isEmpty ? nil : der
    }

    /// Returns the blocks that are certificates. Throws if the text has certificates in another form. Otherwise they
    /// would be left out, and the operator would not notice.
    static func certificateBlocks(in text: Span<UInt8>) throws(PKIError) -> [Block] {
        let all = try blocks(in: text)
        if all.isEmpty, let form = ForeignForm(of: text, key: false) { throw .foreignForm(form) }
        if all.contains(where: { $0.label == "TRUSTED CERTIFICATE" }) { throw .foreignForm(.trustedCertificate) }
        if all.contains(where: { $0.label == "PKCS7" }) { throw .foreignForm(.pkcs7(isDER: false)) }
        return all.filter(\.isCertificate)
    }

    /// Copies the PEM certificates out of a text in which BEGIN and END may stand in the middle of a line. In the
    /// result, each BEGIN and END is on a line of its own. The result is empty if there is no certificate, or if the
    /// rest of the text contains the word CERTIFICATE, since a part of a certificate would then be lost. Only for the
    /// answers of servers: an operator can correct a file.
    static func takenOut(of text: [UInt8]) -> [UInt8] {
        let (first, last) = (Array("-----BEGIN CERTIFICATE-----".utf8), Array("-----END CERTIFICATE-----".utf8))
        let newline = CollectionOfOne(UInt8(ascii: "\n"))
        var result: [UInt8] = []
        var others: [UInt8] = []
        var rest = text[...]
        while let start = rest.firstRange(of: first), let end = rest[start.upperBound...].firstRange(of: last) {
            others += rest[..<start.lowerBound] + newline
            result += rest[start] + newline + rest[start.upperBound..<end.lowerBound] + newline + rest[end] + newline
            rest = rest[end.upperBound...]
        }
        return (others + rest).firstRange(of: Array("CERTIFICATE".utf8)) == nil ? result : []
    }

    /// Returns the offset after the first END line of a text. An indented END line is not found. Returns nil if there
    /// is no END line.
    package static func endOfFirstBlock(in pem: [UInt8]) -> Int? {
        var position = 0
        while position + end.count <= pem.count {
            let lineEnd = pem[position...].firstIndex(of: UInt8(ascii: "\n")) ?? pem.count
            if pem[position..<lineEnd].starts(with: end) { return min(pem.count, lineEnd + 1) }
            position = lineEnd + 1
        }
        return nil
    }

    /// Returns the blocks of a text in order, at most `limit`. Throws for a damaged BEGIN or END line. Otherwise its
    /// block would be left out, and the operator would not notice.
    static func blocks(
        in text: Span<UInt8>, atMost limit: Int = .max, maximumBytes: Int = maximumTextBytes
    ) throws(PKIError) -> [Block] {
        guard text.count <= maximumBytes else { throw .tooLarge("PEM text", limit: "\(maximumBytes >> 20) MiB") }
        var blocks: [Block] = []
        var open: Block?
        var position = 0
        while position < text.count, blocks.count < limit {
            let lineEnd = endOfLine(from: position, of: text)
            let line = trimmed(position..<lineEnd, of: text)
            let next = lineEnd + 1
            if let label = label(of: line, prefix: begin, in: text) {
                if let open { throw cutOff(open, in: text) }
                if let slip = PEMSlip(boundary: label, isEnd: false) { throw slip.error(at: position, in: text) }
                open = Block(label: label, start: position, body: next..<next)
            } else if let label = label(of: line, prefix: end, in: text) {
                guard var block = open else { throw PEMSlip(endOf: label).error(at: position, in: text) }
                guard label == block.label else { throw cutOff(block, in: text) }
                block.body = block.body.lowerBound..<position
                blocks.append(block)
                open = nil
                guard blocks.count <= maximumBlocks else {
                    throw .tooLarge("PEM text", limit: "\(maximumBlocks) blocks")
                }
            } else if open != nil, isBase64(line, of: text) {
                // Nearly all lines are base64, so testing for base64 first saves the other tests.
            } else if open == nil, let slip = PEMSlip(bodyOutside: line, of: text) {
                throw slip.error(at: position, in: text)
            } else if let slip = PEMSlip(line, of: text, isInBlock: open != nil) {
                throw slip.error(at: position, in: text)
            } else if var block = open, line.contains(where: { text[$0] == UInt8(ascii: ":") }) {
                block.isEncrypted = block.isEncrypted || contains(encrypted, in: line, of: text)
                block.body = next..<next
                open = block
            }
            position = next
        }
        if let open { throw cutOff(open, in: text) }
        return blocks
    }

    private static func cutOff(_ block: Block, in text: Span<UInt8>) -> PKIError {
        .malformed(
            "PEM text",
            reason: "the block '\(block.label)' of line \(lineNumber(of: block.start, in: text)) does not end")
    }

    /// Returns the number of the line that contains the byte at `position`. The first line is 1. CR, LF and CRLF end a
    /// line.
    static func lineNumber(of position: Int, in text: Span<UInt8>) -> Int {
        var number = 1
        for index in 0..<position {
            let isSecond = index > 0 && text[index - 1] == UInt8(ascii: "\r")
            if text[index] == UInt8(ascii: "\r") || text[index] == UInt8(ascii: "\n") && !isSecond { number += 1 }
        }
        return number
    }

    private static func endOfLine(from start: Int, of text: Span<UInt8>) -> Int {
        var end = start
        while end < text.count, text[end] != UInt8(ascii: "\n"), text[end] != UInt8(ascii: "\r") { end += 1 }
        return end
    }

    /// Returns the range of a line without white space around it, and without a byte order mark at its start.
    private static func trimmed(_ line: Range<Int>, of text: Span<UInt8>) -> Range<Int> {
        let isSpace = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        var end = line.upperBound
        var first = line.lowerBound
        if end - first >= 3, text[first] == 0xEF, text[first + 1] == 0xBB, text[first + 2] == 0xBF { first += 3 }
        while first < end, isSpace(text[first]) { first += 1 }
        while end > first, isSpace(text[end - 1]) { end -= 1 }
        return first..<end
    }

    private static func label(of line: Range<Int>, prefix: [UInt8], in text: Span<UInt8>) -> String? {
        let dashes = 5
        guard line.count > prefix.count + dashes, line.count <= prefix.count + dashes + maximumLabelBytes,
            prefix.indices.allSatisfy({ text[line.lowerBound + $0] == prefix[$0] }),
            (line.upperBound - dashes..<line.upperBound).allSatisfy({ text[$0] == UInt8(ascii: "-") })
        else { return nil }
        let label = (line.lowerBound + prefix.count..<line.upperBound - dashes).map { text[$0] }
        let isDash = { (byte: UInt8) in byte == UInt8(ascii: "-") }
        // RFC 7468 section 3 forbids two dashes in a row in a label.
        guard label.allSatisfy({ (0x20...0x7E).contains($0) }),
            !zip(label, label.dropFirst()).contains(where: { isDash($0) && isDash($1) })
        else { return nil }
        return String(decoding: label, as: UTF8.self)
    }

    static func isBase64(_ line: Range<Int>, of text: Span<UInt8>) -> Bool {
        let values = Base64Alphabet.standard.values
        return line.allSatisfy { values[Int(text[$0])] != Base64Alphabet.noValue || text[$0] == UInt8(ascii: "=") }
    }

    private static func contains(_ word: [UInt8], in line: Range<Int>, of text: Span<UInt8>) -> Bool {
        line.contains { start in
            start + word.count <= line.upperBound && word.indices.allSatisfy { text[start + $0] == word[$0] }
        }
    }
}

extension PEM {
    /// Decodes a block's base64 (RFC 4648 section 4).
    static func content(of block: Block, in text: Span<UInt8>) throws(PKIError) -> SecretBytes {
        try SecretBytes(capacity: block.body.count / 4 * 3 + 3) { output throws(PKIError) in
            var group: UInt32 = 0
            var digits = 0
            var padding = 0
            let values = Base64Alphabet.standard.values
            for index in block.body {
                let byte = text[index]
                let value = values[Int(byte)]
                if value != Base64Alphabet.noValue {
                    guard padding == 0 else { throw notBase64(block, in: text) }
                    group = group << 6 | UInt32(value)
                    digits += 1
                    if digits % 4 == 0 { append(group, count: 3, to: &output) }
                } else if byte == UInt8(ascii: "=") {
                    padding += 1
                } else if ![0x20, 0x09, 0x0A, 0x0D].contains(byte) {
                    throw notBase64(block, in: text)
                }
            }
            switch (digits % 4, padding) {
            case (0, 0): break
            case (2, 2): append(group << 12, count: 1, to: &output)
            case (3, 1): append(group << 6, count: 2, to: &output)
            default: throw notBase64(block, in: text)
            }
        }
    }

    private static func notBase64(_ block: Block, in text: Span<UInt8>) -> PKIError {
        .malformed(
            "PEM text",
            reason: "the block '\(block.label)' of line \(lineNumber(of: block.start, in: text)) is not base64")
    }

    private static func append(_ group: UInt32, count: Int, to output: inout OutputSpan<UInt8>) {
        for index in 0..<count { output.append(UInt8(truncatingIfNeeded: group >> UInt32(16 - 8 * index))) }
    }
}

extension PEM {
    /// Writes a PEM block with 64 characters per line.
    static func secretText(_ label: String, _ der: Span<UInt8>) -> SecretBytes {
        let frame = 2 * (label.utf8.count + 17)
        let digits = (der.count + 2) / 3 * 4
        return SecretBytes(capacity: frame + digits + digits / 64 + 1) { output in
            write("-----BEGIN \(label)-----\n", to: &output)
            for start in stride(from: 0, to: der.count, by: 3) {
                let count = min(3, der.count - start)
                var group: UInt32 = 0
                for index in 0..<3 { group = group << 8 | (index < count ? UInt32(der[start + index]) : 0) }
                for index in 0..<4 {
                    let value = UInt8(group >> UInt32(18 - 6 * index) & 63)
                    output.append(index <= count ? Base64Alphabet.standard.digit(value) : UInt8(ascii: "="))
                }
                if start % 48 == 45 || start + 3 >= der.count { output.append(UInt8(ascii: "\n")) }
            }
            write("-----END \(label)-----\n", to: &output)
        }
    }

    /// Writes a PEM block whose content is not secret.
    package static func text(_ label: String, _ der: [UInt8]) -> String {
        secretText(label, der.span).withBytes { text in
            String(decoding: text.indices.map { text[$0] }, as: UTF8.self)
        }
    }

    private static func write(_ text: String, to output: inout OutputSpan<UInt8>) {
        for byte in text.utf8 { output.append(byte) }
    }
}
