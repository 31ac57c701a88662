import CLDNS

/// The record types that Aegis requests or reads (RFC 1035, 3596, 8659, 8945).
package enum DNSRecordType: UInt16 {
    case a = 1
    case ns = 2
    case cname = 5
    case soa = 6
    case txt = 16
    case aaaa = 28
    case tsig = 250
    case caa = 257
}

/// The opcode of a message (RFC 1035 section 4.1.1, RFC 2136 section 2.2).
enum DNSOperation: UInt8 {
    case query = 0
    case update = 5
}

/// A message to send. An answer must have the same id, operation, name and type.
struct DNSMessage {
    let id: UInt16
    let operation: DNSOperation
    /// The name in the question. In an update, this is the zone, and `type` is SOA.
    let name: DNSName
    let type: DNSRecordType
    let bytes: [UInt8]

    /// Makes a question. Its flag RD asks the server to query other servers; authoritative servers ignore the flag.
    static func question(_ name: DNSName, _ type: DNSRecordType) -> DNSMessage {
        DNSMessage(.query, name, type, flags: 0x0100, update: nil)
    }

    /// Makes an update that adds a TXT record to a name, or removes the record (RFC 2136 sections 2.5.1 and 2.5.4).
    /// `timeToLive` is in seconds; nil means to remove.
    static func update(zone: DNSName, name: DNSName, txt: String, timeToLive: UInt32?) -> DNSMessage {
        // The class IN (1) means to add the record. The class NONE (254) with a time to live of 0 means to remove it.
        let kind = [DNSRecordType.txt.rawValue, timeToLive == nil ? 254 : 1].flatMap(\.bigEndianBytes)
        let bytes = Array(txt.utf8)
        let strings = stride(from: 0, to: max(1, bytes.count), by: 255).flatMap { start in
            let part = bytes[start..<min(bytes.count, start + 255)]
            return [UInt8(part.count)] + part
        }
        let record =
            name.wire + kind + (timeToLive ?? 0).bigEndianBytes + UInt16(strings.count).bigEndianBytes + strings
        return DNSMessage(.update, zone, .soa, flags: UInt16(DNSOperation.update.rawValue) << 11, update: record)
    }

    private init(_ operation: DNSOperation, _ name: DNSName, _ type: DNSRecordType, flags: UInt16, update: [UInt8]?) {
        id = UInt16.random(in: .min ... .max)
        self.operation = operation
        self.name = name
        self.type = type
        let counts: [UInt16] = [1, 0, update == nil ? 0 : 1, 0]
        let header = ([id, flags] + counts).flatMap(\.bigEndianBytes)
        let section = name.wire + [type.rawValue, 1].flatMap(\.bigEndianBytes)
        bytes = header + section + (update ?? [])
    }

    /// Reads the answer to this message. Returns nil if the bytes are malformed or answer another message.
    func answer(in bytes: [UInt8]) -> DNSAnswer? {
        guard let answer = DNSAnswer(bytes), answer.id == id, answer.isResponse,
            answer.operation == operation.rawValue
        else { return nil }
        // The question may be missing in the answer to an update (RFC 2136 section 3.8), and in the answer of a server
        // that could not read the message.
        guard let question = answer.question else { return operation == .update || answer.code != 0 ? answer : nil }
        return question.owner == name.text && question.type == type.rawValue ? answer : nil
    }
}

extension FixedWidthInteger {
    /// The bytes in network byte order (big-endian).
    var bigEndianBytes: [UInt8] {
        stride(from: Self.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: self >> $0) }
    }

    /// Reads bytes in network byte order (big-endian).
    init(bigEndianBytes bytes: some Sequence<UInt8>) { self = bytes.reduce(0) { $0 << 8 | Self($1) } }
}
