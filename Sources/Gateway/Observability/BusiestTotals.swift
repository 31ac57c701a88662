/// An amount of traffic that is counted for a name, such as a host.
protocol Total: Sendable {
    init()
    static func += (total: inout Self, more: Self)
    /// Names with more weight are busier.
    var weight: UInt64 { get }
}

/// Totals by name. The busiest names are reported one by one. All other names are reported as one total, so the output
/// stays small however many names there are.
///
/// Reported totals never fall. Traffic that was counted in the total of the other names stays there, even if its name
/// is later reported by itself.
struct BusiestTotals<Value: Total>: Sendable {
    /// The largest number of names that are reported one by one.
    static var toldCount: Int { 100 }
    /// The largest number of names that have a total. Beyond this number, the totals of the least busy names are
    /// dropped, and these names start at 0 again.
    static var knownCount: Int { 10_000 }

    private var totals: [String: Value] = [:]
    private var told: Set<String> = []
    /// The total of all traffic that was counted while its name was not reported by itself.
    private(set) var rest = Value()

    mutating func add(_ name: String, _ value: Value) {
        totals[name, default: Value()] += value
        if told.contains(name) { return }
        if told.count < Self.toldCount {
            told.insert(name)
        } else {
            rest += value
        }
        if totals.count > Self.knownCount { forgetLeastBusy() }
    }

    var known: Int { totals.count }

    /// The names that are reported by themselves, sorted by name.
    var named: [(name: String, total: Value)] {
        told.sorted().compactMap { name in totals[name].map { (name, $0) } }
    }

    /// Replaces a reported name with another name if the other name is more than twice as busy. With a smaller factor,
    /// names would be exchanged too often.
    mutating func rank() {
        guard totals.count > told.count else { return }
        let told = told
        let busiest = totals.filter { !told.contains($0.key) }.map { (name: $0.key, weight: $0.value.weight) }
            .sorted { ($0.weight, $1.name) > ($1.weight, $0.name) }.prefix(Self.toldCount)
        let calmest = told.map { (name: $0, weight: totals[$0]?.weight ?? 0) }
            .sorted { ($0.weight, $0.name) < ($1.weight, $1.name) }
        for (new, former) in zip(busiest, calmest) {
            guard new.weight / 2 > former.weight else { return }
            self.told.remove(former.name)
            self.told.insert(new.name)
        }
    }

    /// Drops the totals of the least busy names. Two groups keep their totals: names that are reported by themselves,
    /// and of the other names the busiest `knownCount` / 2.
    private mutating func forgetLeastBusy() {
        let told = told
        let others = totals.filter { !told.contains($0.key) }.sorted { $0.value.weight > $1.value.weight }
        for (name, _) in others.dropFirst(Self.knownCount / 2) { totals[name] = nil }
    }
}
