import CLDNS

/// The types of records that Aegis asks for or reads, by number (RFC 1035, 3596, 8659, 8945).
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

/// The purpose of a message (RFC 1035 section 4.1.1, RFC 2136 section 2.2).
enum DNSOperation: UInt8 {
    case query = 0
    case update = 5
}

/// A message to send: its bytes, and the values by which its answer is recognized.
struct DNSMessage {
    let id: UInt16
    let operation: DNSOperation
    /// The name and type of the question; for an update, the zone and SOA.
    let name: DNSName
    let type: DNSRecordType
    let bytes: [UInt8]

    /// Makes a question. It asks for recursion; servers that don't recurse ignore that.
    static func question(_ name: DNSName, _ type: DNSRecordType) -> DNSMessage {
        DNSMessage(.query, name, type, flags: 0x0100, update: nil)
    }

    /// Makes an update that adds a TXT record to those of a name, or removes the record (RFC 2136 sections 2.5.1 and
    /// 2.5.4). The time to live is in seconds; nil removes the record.
    static func update(zone: DNSName, name: DNSName, txt: String, timeToLive: UInt32?) -> DNSMessage {
        // A record to add has the zone's class, Internet (1). A record to remove has the class NONE (254) and a time to
        // live of 0.
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

    /// Reads a possible answer; nil when it answers another message, or is malformed.
    func answer(in bytes: [UInt8]) -> DNSAnswer? {
        guard let answer = DNSAnswer(bytes), answer.id == id, answer.isResponse,
            answer.operation == operation.rawValue
        else { return nil }
        // A server may leave out the zone in its answer to an update (RFC 2136 section 3.8), or all sections that it
        // can't read.
        guard let question = answer.question else { return operation == .update || answer.code != 0 ? answer : nil }
        return question.owner == name.text && question.type == type.rawValue ? answer : nil
    }
}

extension FixedWidthInteger {
    /// The bytes in DNS's order, the highest first.
    var bigEndianBytes: [UInt8] {
        stride(from: Self.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: self >> $0) }
    }

    /// Reads bytes in DNS's order.
    init(bigEndianBytes bytes: some Sequence<UInt8>) { self = bytes.reduce(0) { $0 << 8 | Self($1) } }
}
