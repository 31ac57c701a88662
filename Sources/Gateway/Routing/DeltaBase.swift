/// A byte sequence that serves as the base for similar sequences: of a similar sequence, only the difference from the
/// base is stored. Certificates of one CA shrink to half of their size.
///
/// A difference is a sequence of steps. Each step has the count of new bytes (one byte), the new bytes, and the count
/// of bytes to copy from the base (one byte). If the second count is not 0, the offset of the copied bytes in the base
/// follows (two bytes).
struct DeltaBase: Sendable {
    private let bytes: [UInt8]
    /// A hash table. Each entry is the last offset in the base at which four bytes with this hash start.
    private let places: [UInt16]

    private static let hashBits: UInt32 = 10
    /// The smallest number of bytes worth copying from the base. A shorter copy saves no space.
    private static let leastCommon = 6

    /// An offset has two bytes, so only the first 64 KiB are used.
    init(_ bytes: [UInt8]) {
        self.bytes = Array(bytes.prefix(1 << 16))
        var places = [UInt16](repeating: 0, count: 1 << Self.hashBits)
        for place in self.bytes.indices.dropLast(3) { places[Self.hash(self.bytes, place)] = UInt16(place) }
        self.places = places
    }

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

    /// Returns the byte sequence from which the difference was made.
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

    /// Compares the bytes of `other` from `at` on with a similar part of the base. Returns the offset of that part and
    /// the number of equal bytes.
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
