import ConfigModel

/// Which values were removed from a list, added and moved. Places count from 1.
struct ListDifference {
    /// The removed values, in the order of the old list. `count` is how many times the old list has the value, if an
    /// equal one stays; else nil.
    private(set) var removed: [(value: PlainValue, count: Int?)] = []
    /// The added values, in the order of the new list. The place is nil for values that follow all old values.
    /// `isAgain` means that the old list has an equal one, which stays.
    private(set) var added: [(value: PlainValue, place: Int?, isAgain: Bool)] = []
    /// The moved values. Of all sets of moves that lead to the new order, this is one of the smallest.
    private(set) var moved: [Move] = []

    struct Move {
        /// How the value's order has changed. If its place is the same, it has passed another value, which stays.
        enum Way { case from(Int, to: Int), before(PlainValue), after(PlainValue) }

        let value: PlainValue
        let way: Way
    }

    init(from old: [PlainValue], to new: [PlainValue]) {
        // Equal values are matched in order: the first in the old list with the first in the new list, and so on.
        let (oldKeys, newKeys) = (old.map { $0.json() }, new.map { $0.json() })
        var places: [[UInt8]: [Int]] = [:]
        for index in old.indices.reversed() { places[oldKeys[index], default: []].append(index) }
        let counts = places.mapValues(\.count)
        let sources = newKeys.map { places[$0]?.popLast() }
        let kept = new.indices.filter { sources[$0] != nil }
        let staying = Self.longestRise(kept.compactMap { sources[$0] })
        for index in new.indices {
            guard let source = sources[index] else {
                let isAgain = counts[newKeys[index]] != nil
                added.append((new[index], index < kept.last ?? -1 ? index + 1 : nil, isAgain))
                continue
            }
            guard !staying.contains(source) else { continue }
            var way = Move.Way.from(source + 1, to: index + 1)
            // If the value had passed no staying value, it could stay too.
            if source == index,
                let passed = kept.first(where: { other in
                    sources[other].map { staying.contains($0) && ($0 < source) != (other < index) } ?? false
                })
            {
                way = passed > index ? .before(new[passed]) : .after(new[passed])
            }
            moved.append(Move(value: new[index], way: way))
        }
        let found = Set(sources.compactMap(\.self))
        removed = old.indices.filter { !found.contains($0) }.map { index in
            let count = counts[oldKeys[index]] ?? 1
            return (old[index], places[oldKeys[index]]?.count == count ? nil : count)
        }
    }

    /// The longest increasing subsequence of distinct numbers (patience sorting).
    private static func longestRise(_ numbers: [Int]) -> Set<Int> {
        // For each length, the smallest number that an increasing subsequence of that length ends with.
        var ends: [Int] = []
        var previous: [Int: Int] = [:]
        for number in numbers {
            var (low, high) = (0, ends.count)
            while low < high {
                let middle = (low + high) / 2
                if ends[middle] < number { low = middle + 1 } else { high = middle }
            }
            if low > 0 { previous[number] = ends[low - 1] }
            if low == ends.count { ends.append(number) } else { ends[low] = number }
        }
        var rise: Set<Int> = []
        var next = ends.last
        while let number = next {
            rise.insert(number)
            next = previous[number]
        }
        return rise
    }
}
