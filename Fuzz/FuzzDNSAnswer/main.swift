import DNS
import Foundation
import FuzzDriver
import PKI

// Reads any bytes as a name server's answer. All results lie within the message, loops of aliases end, and no message
// passes as signed.

let name = "a.test"
let secret = SecretBytes(Array(Data("secret".utf8).base64EncodedData()))

func take(_ bytes: [UInt8]) {
    guard let answer = DNSAnswer(bytes) else { return }
    precondition(bytes.count >= 12 && answer.id == UInt16(bytes[0]) << 8 | UInt16(bytes[1]))
    let records = [answer.question, answer.signature].compactMap(\.self) + answer.records
    precondition(records.count <= 1002 && records.allSatisfy { (12..<bytes.count).contains($0.start) })
    precondition(zip(answer.records, answer.records.dropFirst()).allSatisfy { $0.start < $1.start })
    for record in records { check(record.owner) }
    if answer.isTruncated { return }

    // Bytes after a complete message are ignored.
    precondition(DNSAnswer(bytes + [0])?.records.count == answer.records.count)

    for owner in Set(records.map(\.owner) + [name]) {
        check(answer.canonicalName(of: owner))
        guard let owner = try? DNSName(owner) else { continue }
        precondition(DNSName.text(ofWire: owner.wire) == owner.text)
        for text in answer.texts(at: owner) { precondition(text.utf8.count <= 3 * bytes.count) }
        for address in answer.addresses(of: owner, .a) + answer.addresses(of: owner, .aaaa) {
            guard case .ip? = try? SubjectName(address) else { preconditionFailure("no address: \(address)") }
        }
        for record in answer.authorizations(at: owner) {
            precondition(record.tag.utf8.count + record.value.utf8.count <= 3 * bytes.count)
        }
    }
    precondition((0...65_535).contains(TSIG.error(of: answer)))
    for algorithm in DNSUpdateKey.Algorithm.allCases {
        guard let key = try? DNSUpdateKey(name: name, algorithm: algorithm, secret: secret) else {
            preconditionFailure()
        }
        let isSigned: Void? = try? TSIG(key: key).check(answer, in: bytes, to: [], now: 1_800_000_000)
        precondition(isSigned == nil, "made-up bytes pass for signed")
    }
}

/// A name must have only characters that a message can show.
func check(_ name: String) {
    precondition(name.utf8.count <= 4 * 255 && name.utf8.allSatisfy { (0x21...0x7E).contains($0) })
}

exit(fuzz(take))
