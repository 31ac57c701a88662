import Testing

@testable import Gateway

@Suite("Tables")
struct TableTests {
    @Test("A name table finds entries that were added, and not those that were removed")
    func names() {
        var table = NameTable()
        var expected: [UInt32: UInt32] = [:]
        // There are few different hashes, so entries collide and removed places are filled.
        var generator = SplitMix(state: 7)
        for step in 0..<20_000 {
            let number = UInt32(generator.next() % 500)
            let hash = number % 61
            if expected[number] == nil {
                table.insert(hash, number)
                expected[number] = hash
            } else {
                table.remove(hash, number)
                expected[number] = nil
            }
            guard step % 500 == 0 else { continue }
            #expect(table.count == expected.count)
            for candidate in UInt32(0)..<500 {
                let found = table.find(candidate % 61) { $0 == candidate }
                #expect(found == (expected[candidate] == nil ? nil : candidate))
            }
        }
    }

    @Test("A delta keeps only what differs from its base, and restores the bytes")
    func bases() {
        var generator = SplitMix(state: 3)
        func noise(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) } }
        for size in [0, 1, 3, 4, 5, 300, 1000, 70_000] {
            let bytes = noise(size)
            let base = DeltaBase(bytes)
            // Compared with the base: the same bytes, other bytes, parts of the base among other bytes, one changed
            // byte, and runs of one byte.
            var others = [bytes, [], noise(1), noise(254), noise(255), noise(256), noise(600)]
            others += (0..<20).map { _ in noise(Int(generator.next() % 300)) + bytes.suffix(size / 2) + noise(5) + bytes
            }
            others += bytes.indices.prefix(40).map { index in
                var other = bytes
                other[index] ^= 1
                return other
            }
            others.append([UInt8](repeating: 0, count: 700))
            for other in others {
                let difference = base.difference(of: other)
                #expect(difference.withBytes { base.bytes(from: $0) } == other)
                #expect(difference.count <= other.count + 2 * (other.count / 255 + 1))
            }
            if size == 1000 { #expect(base.difference(of: bytes).count < 30) }
        }
    }

    @Test("A table by name behaves like a dictionary")
    func namedTable() {
        struct Thing: Named, Equatable {
            let name: String
            let number: UInt64

            func isNamed(_ name: Bytes) -> Bool { self.name == name.text }
        }
        var table = NamedTable<Thing>()
        var expected: [String: Thing] = [:]
        var generator = SplitMix(state: 11)
        for number in UInt64(0)..<5_000 {
            let name = "host-\(generator.next() % 300).test"
            let thing = generator.next() % 3 > 0 ? Thing(name: name, number: number) : nil
            table[name] = thing
            expected[name] = thing
            #expect(table[name] == thing && table.count == expected.count)
        }
        #expect(table.isEmpty == false && table["nobody.test"] == nil && table[""] == nil)
        for (name, thing) in expected { #expect(table[name] == thing) }
        let all = table.values.map(\.number).sorted()
        #expect(all == expected.values.map(\.number).sorted())
    }

    @Test(
        "Names are looked up in lower case without a final dot, first exactly, then by wildcard",
        arguments: [
            ("App.Test", "exact"), ("app.test.", "exact"), ("www.app.test", "wild"), ("a.b.app.test", nil),
            ("test", nil),
            ("x.test", nil), ("app.test..", nil),
        ] as [(String, String?)])
    func hostKeys(name: String, expected: String?) throws {
        let names = ["app.test": "exact", "*.app.test": "wild"]
        let bytes = Array(name.utf8)
        let made = bytes.withBytes { HostKey($0) }
        let key = try #require(made)
        let found = [0, key.parentStart].compactMap { $0 }.lazy.compactMap { start in
            names.first { name, _ in
                let isEqual = Array(name.utf8).withBytes { key.equals($0, suffixFrom: start) }
                return isEqual && key.hash(suffixFrom: start) == NameHash.of(name)
            }?.value
        }.first
        #expect(found == expected)
    }

    @Test("An empty or too long name has no key")
    func noKeys() {
        #expect([UInt8]().withBytes { HostKey($0) } == nil)
        #expect([UInt8](repeating: 97, count: 256).withBytes { HostKey($0) } == nil)
        #expect([UInt8](repeating: 97, count: 255).withBytes { HostKey($0) } != nil)
    }

    @Test("A slab tells a removed object from the one that has its index now")
    func slab() throws {
        // A noncopyable value can't be used within an expectation.
        let slab = Slab<String>(maximum: 130)
        let ids = (0..<130).compactMap { slab.insert("\($0)") }
        let surplus = slab.insert("one too many")
        #expect(ids.count == 130 && surplus == nil)
        let removed = slab.remove(ids[77])
        let isGone = !slab.contains(ids[77])
        #expect(removed == "77" && isGone)
        let inserted = slab.insert("again")
        let next = try #require(inserted)
        #expect(next.index == ids[77].index && next != ids[77])
        let value = slab[next]
        let isStillGone = !slab.contains(ids[77])
        #expect(value == "again" && isStillGone)
        let stale = Token(.client, ids[77]).element(in: slab)
        let fresh = Token(.client, next).element(in: slab)
        #expect(stale == nil && fresh == next)
    }
}

extension [UInt8] {
    /// The bytes as a view.
    func withBytes<Result>(_ body: (Bytes) -> Result) -> Result {
        unsafe withUnsafeBufferPointer { buffer in
            let empty: StaticString = ""
            return unsafe body(Bytes(buffer.baseAddress ?? empty.utf8Start, count: buffer.count))
        }
    }
}

/// SplitMix64: numbers that look random and are the same in each run.
struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
