/// A hash table from a name's hash to the numbers of the elements with that hash: open addressing, 8 bytes for each
/// entry. The caller compares the names themselves. Confined to one thread.
struct NameTable {
    private struct Entry {
        var hash: UInt32 = 0
        /// The element's number plus one; 0 for an empty place.
        var reference: UInt32 = 0
    }

    private var entries: [Entry] = Array(repeating: Entry(), count: 16)
    private(set) var count = 0

    /// The first number under `hash` that `matches` accepts.
    func find(_ hash: UInt32, _ matches: (UInt32) -> Bool) -> UInt32? {
        var place = Int(hash) & (entries.count - 1)
        // The table always has empty places, so the loop ends.
        while entries[place].reference != 0 {
            let entry = entries[place]
            if entry.hash == hash, matches(entry.reference - 1) { return entry.reference - 1 }
            place = (place + 1) & (entries.count - 1)
        }
        return nil
    }

    /// Adds a number under a hash.
    mutating func insert(_ hash: UInt32, _ number: UInt32) {
        if (count + 1) * 8 > entries.count * 7 { grow() }
        put(Entry(hash: hash, reference: number + 1))
        count += 1
    }

    /// Removes a number from a hash; does nothing if it is not there.
    mutating func remove(_ hash: UInt32, _ number: UInt32) {
        var place = Int(hash) & (entries.count - 1)
        while entries[place].reference != number + 1 || entries[place].hash != hash {
            guard entries[place].reference != 0 else { return }
            place = (place + 1) & (entries.count - 1)
        }
        count -= 1
        // Entries after the hole move up if a search from their own place would otherwise stop at the hole.
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
