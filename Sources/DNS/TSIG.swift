import PKI

/// A TSIG key, which the client and the server share (RFC 8945).
package struct DNSUpdateKey: Sendable {
    package enum Algorithm: String, Sendable, CaseIterable {
        case sha256 = "hmac-sha256"
        case sha384 = "hmac-sha384"
        case sha512 = "hmac-sha512"
    }

    let name: DNSName
    let algorithm: Algorithm
    let secret: SecretBytes

    /// Makes a key. `name` is the key's name at the server; `secret` is in base64.
    package init(name: String, algorithm: Algorithm, secret: SecretBytes) throws(DNSFailure) {
        self.name = try DNSName(name)
        self.algorithm = algorithm
        guard let secret = Base64.secret(secret), secret.count > 0 else {
            throw DNSFailure("the secret of the TSIG key '\(self.name)' is not base64")
        }
        self.secret = secret
    }
}

/// Signs DNS messages and checks their signatures (RFC 8945). libldns 1.8 could do so too, but it writes a wrong name
/// for hmac-sha384 and leaves copies of the secret in memory.
package struct TSIG {
    /// The largest accepted difference between the clocks of the client and the server, in seconds.
    private static let fudgeSeconds: UInt16 = 300
    private static let headerBytes = 12
    private static let anyClass: UInt16 = 255

    /// The reason why a signature is rejected (RFC 8945 section 5.2).
    package enum Fault: Error, Equatable {
        case unsigned
        case otherKey
        case wrongCode
        case wrongTime
    }

    package let key: DNSUpdateKey

    package init(key: DNSUpdateKey) { self.key = key }

    /// Signs a message. Returns the signed message, and the signature's MAC as `code`. The server includes this MAC in
    /// the signature of its answer. `now` is in seconds since 1970.
    func signed(_ message: [UInt8], now: Int64) throws(DNSFailure) -> (bytes: [UInt8], code: [UInt8]) {
        let variables = Variables(time: Array(now.bigEndianBytes.suffix(6)), fudge: Self.fudgeSeconds.bigEndianBytes)
        let code = try self.code(of: message, variables)
        let data: [[UInt8]] = [
            algorithmName, variables.time, variables.fudge, UInt16(code.count).bigEndianBytes, code,
            Array(message[..<2]), variables.error, [0, 0],
        ]
        let kind = [DNSRecordType.tsig.rawValue, Self.anyClass].flatMap(\.bigEndianBytes)
        let length = UInt16(data.reduce(0) { $0 + $1.count })
        let record = [key.name.wire, kind, [0, 0, 0, 0], length.bigEndianBytes] + data
        return (Self.changingAdditional(of: message, by: 1) + record.joined(), code)
    }

    /// Checks an answer's signature. `code` is the MAC of the request's signature, and `bytes` are the answer's bytes.
    package func check(_ answer: DNSAnswer, in bytes: [UInt8], to code: [UInt8], now: Int64) throws(Fault) {
        guard let signature = answer.signature, signature.fields.count == 7 else { throw .unsigned }
        let fields = signature.fields
        guard signature.owner == key.name.text,
            DNSName.text(ofWire: fields[0]) == DNSName.text(ofWire: algorithmName)
        else { throw .otherKey }
        // The server signed the answer before it added the TSIG record. The signed bytes begin with the message id that
        // is in the TSIG record.
        let unsigned = Self.changingAdditional(of: Array(bytes[..<signature.start]), by: -1)
        let message = fields[4] + unsigned.dropFirst(2)
        let variables = Variables(
            time: fields[1], fudge: fields[2], error: fields[5], other: Array(fields[6].dropFirst(2)))
        let request = UInt16(code.count).bigEndianBytes + code
        // The standard allows truncated MACs; this client does not.
        guard let expected = try? self.code(of: request + message, variables), !expected.isEmpty,
            SecretBytes(expected) == SecretBytes(Array(fields[3].dropFirst(2)))
        else { throw .wrongCode }
        let difference = now - Int64(bigEndianBytes: variables.time)
        guard abs(difference) <= Int64(bigEndianBytes: variables.fudge) else { throw .wrongTime }
    }

    /// The error code in an answer's TSIG record (RFC 8945 section 3): 16 bad signature, 17 bad key, 18 bad time. 0 if
    /// there is no TSIG record.
    package static func error(of answer: DNSAnswer) -> Int {
        guard let fields = answer.signature?.fields, fields.count == 7 else { return 0 }
        return Int(bigEndianBytes: fields[5])
    }

    /// The TSIG variables (RFC 8945 section 4.3.3) that differ from message to message, in wire format.
    private struct Variables {
        let time: [UInt8]
        let fudge: [UInt8]
        var error: [UInt8] = [0, 0]
        var other: [UInt8] = []
    }

    private var algorithmName: [UInt8] {
        [UInt8(key.algorithm.rawValue.utf8.count)] + key.algorithm.rawValue.utf8 + [0]
    }

    private func code(of message: [UInt8], _ variables: Variables) throws(DNSFailure) -> [UInt8] {
        let hash: HMAC.Hash =
            switch key.algorithm {
            case .sha256: .sha256
            case .sha384: .sha384
            case .sha512: .sha512
            }
        let signed: [[UInt8]] = [
            message, key.name.wire, Self.anyClass.bigEndianBytes, [0, 0, 0, 0], algorithmName, variables.time,
            variables.fudge, variables.error, UInt16(variables.other.count).bigEndianBytes, variables.other,
        ]
        do {
            return try HMAC.code(hash, key: key.secret, message: Array(signed.joined()))
        } catch {
            throw DNSFailure("the update can't be signed: \(error)")
        }
    }

    /// Copies a message and changes the number of additional records in the copy's header.
    private static func changingAdditional(of message: [UInt8], by change: Int) -> [UInt8] {
        let count = Int(bigEndianBytes: message[10..<headerBytes]) + change
        return message[..<10] + UInt16(truncatingIfNeeded: count).bigEndianBytes + message[headerBytes...]
    }
}
