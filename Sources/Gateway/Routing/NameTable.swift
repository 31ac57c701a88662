/// From the hash of a name to numbers of things that may have it: open addressing, 8 bytes an entry. Whether a candidate
/// has the name is for the caller to compare. Confined to one thread.
struct NameTable {
    private struct Entry {
        var hash: UInt32 = 0
        /// One more than the thing's number; 0 for an empty place.
        var reference: UInt32 = 0
    }

    private var entries: [Entry] = Array(repeating: Entry(), count: 16)
    private(set) var count = 0

    /// The first candidate of a hash that `matches`.
    func find(_ hash: UInt32, _ matches: (UInt32) -> Bool) -> UInt32? {
        var place = Int(hash) & (entries.count - 1)
        // There are always empty places, so the walk ends.
        while entries[place].reference != 0 {
            let entry = entries[place]
            if entry.hash == hash, matches(entry.reference - 1) { return entry.reference - 1 }
            place = (place + 1) & (entries.count - 1)
        }
        return nil
    }

    /// Adds a thing under a hash.
    mutating func insert(_ hash: UInt32, _ number: UInt32) {
        if (count + 1) * 8 > entries.count * 7 { grow() }
        put(Entry(hash: hash, reference: number + 1))
        count += 1
    }

    /// Takes the entry of a thing under a hash away.
    mutating func remove(_ hash: UInt32, _ number: UInt32) {
        var place = Int(hash) & (entries.count - 1)
        while entries[place].reference != number + 1 || entries[place].hash != hash {
            guard entries[place].reference != 0 else { return }
            place = (place + 1) & (entries.count - 1)
        }
        count -= 1
        // What follows moves up where its way from its own place would otherwise be broken.
        var hole = place
        var next = (place + 1) & (entries.count - 1)
        while entries[next].reference != 0 {
            let home = Int(entries[next].hash) & (entries.count - 1)
            let distance = (next - home) & (entries.count - 1)
            if distance >= (next - hole) & (entries.count - 1) {
                entries[hole] = entries[next]
                hole = next
            }
            next = (next + 1) & (entries.count - 1)
        }
        entries[hole] = Entry()
    }

    private mutating func put(_ entry: Entry) {
        var place = Int(entry.hash) & (entries.count - 1)
        while entries[place].reference != 0 { place = (place + 1) & (entries.count - 1) }
        entries[place] = entry
    }

    private mutating func grow() {
        let old = entries
        entries = Array(repeating: Entry(), count: old.count * 2)
        for entry in old where entry.reference != 0 { put(entry) }
    }
}
