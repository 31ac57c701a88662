/// A byte sequence that similar ones are compared to, so that only their differences need to be stored.
///
/// A difference is a sequence of steps. Each step has the count of new bytes (one byte), the new bytes, and the count
/// of bytes to copy from the base (one byte). If bytes are copied, their offset in the base follows (two bytes).
/// Certificates of one CA shrink to half of their size.
struct DeltaBase: Sendable {
    private let bytes: [UInt8]
    /// The last offset of each sequence of four bytes in the base, by the hash of the sequence.
    private let places: [UInt16]

    private static let hashBits: UInt32 = 10
    /// The least count of bytes to copy; a shorter copy costs as much as it saves.
    private static let leastCommon = 6

    /// Creates a base. Bytes beyond its first 64 KiB are not used.
    init(_ bytes: [UInt8]) {
        self.bytes = Array(bytes.prefix(1 << 16))
        var places = [UInt16](repeating: 0, count: 1 << Self.hashBits)
        for place in self.bytes.indices.dropLast(3) { places[Self.hash(self.bytes, place)] = UInt16(place) }
        self.places = places
    }

    /// Encodes `other` as a difference from the base.
    func difference(of other: [UInt8]) -> [UInt8] {
        var difference: [UInt8] = []
        var (start, at) = (0, 0)
        while at < other.count {
            let (place, count) = common(other, at)
            if count < Self.leastCommon {
                at += 1
                continue
            }
            append(other[start..<at], place, count, to: &difference)
            at += count
            start = at
        }
        append(other[start...], 0, 0, to: &difference)
        return difference
    }

    /// Decodes a difference: returns the bytes that it was made from.
    func bytes(from difference: Bytes) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count + difference.count)
        var at = 0
        while at < difference.count {
            let new = Int(difference[at])
            result.append(contentsOf: difference[at + 1..<at + 1 + new])
            at += 1 + new
            let count = Int(difference[at])
            at += 1
            guard count > 0 else { continue }
            let place = Int(difference[at]) << 8 | Int(difference[at + 1])
            result += bytes[place..<place + count]
            at += 2
        }
        return result
    }

    /// Finds in the base a sequence that equals the bytes of `other` from `at` on; returns its offset and length.
    private func common(_ other: [UInt8], _ at: Int) -> (place: Int, count: Int) {
        guard at + 4 <= other.count else { return (0, 0) }
        let place = Int(places[Self.hash(other, at)])
        var count = 0
        while count < 255, at + count < other.count, place + count < bytes.count,
            other[at + count] == bytes[place + count]
        {
            count += 1
        }
        return (place, count)
    }

    private func append(_ new: ArraySlice<UInt8>, _ place: Int, _ count: Int, to difference: inout [UInt8]) {
        var new = new
        while new.count > 255 {
            difference += [255] + new.prefix(255) + [0]
            new = new.dropFirst(255)
        }
        difference.append(UInt8(new.count))
        difference += new
        difference.append(UInt8(count))
        if count > 0 { difference += [UInt8(place >> 8), UInt8(place & 0xFF)] }
    }

    private static func hash(_ bytes: [UInt8], _ at: Int) -> Int {
        let word =
            UInt32(bytes[at]) | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2]) << 16 | UInt32(bytes[at + 3]) << 24
        return Int((word &* 0x9E37_79B1) >> (32 - hashBits))
    }
}
