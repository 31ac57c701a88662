import Glibc

/// Identifies a request in the logs of the gateway and of upstreams. An ID has up to 64 letters, digits, `-` and `_`;
/// the gateway's own IDs have 32 hexadecimal digits.
struct RequestID {
    private var bytes = InlineArray<64, UInt8>(repeating: 0)
    private var count: UInt8 = 0

    init() {}

    /// Uses the ID that a client or proxy sent. Returns nil if the ID is too long or has characters that are not
    /// allowed.
    init?(_ given: Bytes) {
        guard (1...64).contains(given.count) else { return nil }
        for index in 0..<given.count {
            switch given[index] {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                bytes[index] = given[index]
            default: return nil
            }
        }
        count = UInt8(given.count)
    }

    fileprivate init(_ high: UInt64, _ low: UInt64) {
        for index in 0..<32 {
            let word = index < 16 ? high : low
            let digit = UInt8(truncatingIfNeeded: word >> UInt64(60 - (index & 15) * 4)) & 0xF
            bytes[index] = digit < 10 ? 0x30 + digit : 0x57 + digit
        }
        count = 32
    }

    func write(to output: borrowing Scratch) {
        output.append(bytes.span.extracting(first: Int(count)))
    }

    var text: String { String(decoding: (0..<Int(count)).map { bytes[$0] }, as: UTF8.self) }
}

/// Creates unique request IDs. An ID has 64 random bits, chosen when the worker starts, and 64 bits of a counter. The
/// counter is mixed by the finalizer of SplitMix64, so that consecutive IDs look different. The finalizer maps
/// different counts to different values. IDs need not be secret.
struct RequestIDSource {
    private let start: UInt64
    private var count: UInt64

    init() {
        var generator = SystemRandomNumberGenerator()
        start = generator.next()
        count = generator.next()
    }

    mutating func next() -> RequestID {
        count &+= 0x9E37_79B9_7F4A_7C15
        var mixed = count
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return RequestID(start, mixed ^ (mixed >> 31))
    }
}
