import Foundation
import FuzzDriver
import PKI

// Reads any bytes as a PEM file, as text around a PEM block, and as the content of a block.

let content: [UInt8] = [0x30, 0x03, 0x02, 0x01, 0x01]
let plain = block(of: content)

func take(_ bytes: [UInt8]) {
    let certificates = result { try PEM.certificates(in: bytes) }
    if let certificates, let first = try? PEM.firstCertificate(in: bytes) { precondition(first == certificates.first) }
    precondition(PEM.endOfFirstBlock(in: bytes) ?? 0 <= bytes.count)

    // The kind of line end makes no difference.
    if !bytes.contains(0x0D) {
        for end: [UInt8] in [[0x0D], [0x0D, 0x0A]] {
            precondition(result { try PEM.certificates(in: bytes.flatMap { $0 == 0x0A ? end : [$0] }) } == certificates)
        }
    }
    // With any text before or after it, a whole block is found, or there is an error.
    for text in [bytes + [0x0A] + plain, plain + bytes] {
        guard let all = result({ try PEM.certificates(in: text) }) else { continue }
        precondition(all == (certificates ?? []) + [content] || all == [content] + (certificates ?? []))
    }
    // If a few bytes are damaged, there is an error, or both blocks are found.
    if bytes.count > 2 {
        var text = plain + plain
        let place = (Int(bytes[0]) << 8 | Int(bytes[1])) % text.count
        text.replaceSubrange(place..<min(text.count, place + Int(bytes[2] % 6)), with: bytes[3...].prefix(6))
        precondition(result { try PEM.certificates(in: text).count } ?? 2 == 2, "a block is lost")
    }
    // The content of a block is read back unchanged.
    precondition(bytes.isEmpty || result { try PEM.certificates(in: block(of: bytes)) } == [bytes])

    if let chain = result({ try CertificateChain(pem: bytes, now: 1_800_000_000) }) { check(chain) }
    if let key = result({ try PrivateKey(pem: SecretBytes(bytes)) }) {
        precondition(result { try PrivateKey(pem: key.pem()).publicKeyDER() } == result { try key.publicKeyDER() })
    }
}

/// A chain must be in order, expire with its first expiring certificate, and be equal after writing and reading.
func check(_ chain: CertificateChain) {
    let certificates = chain.certificates
    precondition((1...CertificateChain.maximumCertificates).contains(certificates.count))
    precondition(zip(certificates, certificates.dropFirst()).allSatisfy { $0.isIssued(by: $1) })
    precondition(certificates.allSatisfy { chain.expiresAt <= $0.notAfter })
    precondition(result { try CertificateChain(pem: Array(chain.pem.utf8)).certificates } == certificates)
}

/// A certificate's block with lines of 64 digits.
func block(of bytes: [UInt8]) -> [UInt8] {
    let body = Data(bytes).base64EncodedString(options: [.lineLength64Characters, .endLineWithLineFeed])
    return Array("-----BEGIN CERTIFICATE-----\n\(body)\n-----END CERTIFICATE-----\n".utf8)
}

exit(fuzz(take))
