import HTTP1
import PKI

/// A host name in the form used for look-ups: lower case, without a final dot.
struct HostKey {
    private(set) var bytes = InlineArray<255, UInt8>(repeating: 0)
    private(set) var count = 0

    /// Returns nil if the name is empty or longer than 255 bytes.
    init?(_ name: Bytes) {
        guard name.count > 0, name.count <= 255 else { return nil }
        for index in 0..<name.count { append(name[index]) }
        dropFinalDot()
    }

    /// The key of the server name in a ClientHello. Returns nil if the client sent no name or an IP address. RFC 6066
    /// section 3 forbids IP addresses there, but some clients send them.
    init?(_ hello: ClientHello) {
        guard hello.serverNameCount > 0 else { return nil }
        for index in 0..<hello.serverNameCount { append(hello[index]) }
        dropFinalDot()
        if isAddress { return nil }
    }

    /// Whether the name is written like an IP address: the last label is a number, or there is a colon. Host names have
    /// neither.
    private var isAddress: Bool {
        var isNumeric = true
        for index in 0..<count {
            switch bytes[index] {
            case UInt8(ascii: "."): isNumeric = true
            case UInt8(ascii: "0")...UInt8(ascii: "9"): continue
            case UInt8(ascii: ":"): return true
            default: isNumeric = false
            }
        }
        return isNumeric
    }

    private mutating func append(_ byte: UInt8) {
        bytes[count] = byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
        count += 1
    }

    private mutating func dropFinalDot() {
        if count > 1, bytes[count - 1] == UInt8(ascii: ".") { count -= 1 }
    }

    /// The offset of the first dot. A `*` plus the bytes from this offset is the wildcard that covers the name. Nil if
    /// the name has only one label.
    var parentStart: Int? {
        for index in 0..<count where bytes[index] == UInt8(ascii: ".") { return index > 0 ? index : nil }
        return nil
    }

    var isHostName: Bool {
        for index in 0..<count {
            switch bytes[index] {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
                UInt8(ascii: "."), UInt8(ascii: "_"):
                continue
            default: return false
            }
        }
        return count > 0
    }

    var text: String { String(decoding: (0..<count).map { bytes[$0] }, as: UTF8.self) }

    /// The hash of the whole name (`start` is 0), or of the wildcard `*` plus the bytes from `start` (`start` is the
    /// offset of the first dot).
    func hash(suffixFrom start: Int) -> UInt32 {
        var hash = NameHash()
        if start > 0 { hash.add(UInt8(ascii: "*")) }
        for index in start..<count { hash.add(bytes[index]) }
        return hash.value
    }

    /// Whether a stored name is this whole name (`start` is 0), or is the wildcard `*` plus the bytes from `start`
    /// (`start` is the offset of the first dot).
    func equals(_ name: Bytes, suffixFrom start: Int) -> Bool {
        let prefix = start > 0 ? 1 : 0
        guard name.count == count - start + prefix else { return false }
        if prefix == 1, name[0] != UInt8(ascii: "*") { return false }
        for index in start..<count where name[index - start + prefix] != bytes[index] { return false }
        return true
    }
}

/// The hash of a name: FNV-1a with a final mixing step. The operator chooses the names in a table. So an attacker can't
/// fill a table with names of the same hash.
struct NameHash {
    private var state: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ byte: UInt8) { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }

    var value: UInt32 {
        let mixed = (state ^ (state >> 32)) &* 0x9E37_79B9_7F4A_7C15
        return UInt32(truncatingIfNeeded: mixed >> 32)
    }

    static func of(_ name: Bytes) -> UInt32 {
        var hash = NameHash()
        for index in 0..<name.count { hash.add(name[index]) }
        return hash.value
    }
}
