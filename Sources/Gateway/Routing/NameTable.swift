/// A hash table from the hash of a name to the numbers of the elements with this hash. It uses open addressing, with 8
/// bytes for each entry. The caller compares the names themselves. Only one thread may use a table.
struct NameTable {
    private struct Entry {
        var hash: UInt32 = 0
        /// The element's number plus one. 0 marks an empty place.
        var reference: UInt32 = 0
    }

    private var entries: [Entry] = Array(repeating: Entry(), count: 16)
    private(set) var count = 0

    /// Returns the first number under this hash for which `matches` is true.
    func find(_ hash: UInt32, _ matches: (UInt32) -> Bool) -> UInt32? {
        var place = Int(hash) & (entries.count - 1)
        // The loop ends, since an eighth of the places is always empty.
        while entries[place].reference != 0 {
            let entry = entries[place]
            if entry.hash == hash, matches(entry.reference - 1) { return entry.reference - 1 }
            place = (place + 1) & (entries.count - 1)
        }
        return nil
    }

    mutating func insert(_ hash: UInt32, _ number: UInt32) {
        if (count + 1) * 8 > entries.count * 7 { grow() }
        put(Entry(hash: hash, reference: number + 1))
        count += 1
    }

    /// Does nothing if the table does not have this number under this hash.
    mutating func remove(_ hash: UInt32, _ number: UInt32) {
        var place = Int(hash) & (entries.count - 1)
        while entries[place].reference != number + 1 || entries[place].hash != hash {
            guard entries[place].reference != 0 else { return }
            place = (place + 1) & (entries.count - 1)
        }
        count -= 1
        // A search stops at an empty place. So after a removal, a later entry moves into the empty place if a search
        // for the later entry passes that place.
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
