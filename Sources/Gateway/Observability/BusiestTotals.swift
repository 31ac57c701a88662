/// What adds up.
protocol Total: Sendable {
    init()
    static func += (total: inout Self, more: Self)
    /// How busy it shows something to be.
    var weight: UInt64 { get }
}

/// Totals by name, of which the busiest are told one by one and the rest together: who reads them must not be flooded, however
/// many names there are. Pure.
///
/// Each total that is told only grows, the rest too: what counted with the rest stays there when its name comes to be told.
struct BusiestTotals<Value: Total>: Sendable {
    /// How many names are told.
    static var toldCount: Int { 100 }
    /// How many names are known; of more, the least busy begin anew.
    static var knownCount: Int { 10_000 }

    private var totals: [String: Value] = [:]
    private var told: Set<String> = []
    /// What was counted for names that were not told then.
    private(set) var rest = Value()

    /// Adds to a name's total.
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

    /// How many names are known now.
    var known: Int { totals.count }

    /// The totals that are told, by name in order.
    var named: [(name: String, total: Value)] {
        told.sorted().compactMap { name in totals[name].map { (name, $0) } }
    }

    /// Tells of names that have become busier than twice what others are that are told, in the place of these. With less of a
    /// difference names would come and go.
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

    /// Keeps those that are told, and of the others the busier ones up to half of what may be known.
    private mutating func forgetLeastBusy() {
        let told = told
        let others = totals.filter { !told.contains($0.key) }.sorted { $0.value.weight > $1.value.weight }
        for (name, _) in others.dropFirst(Self.knownCount / 2) { totals[name] = nil }
    }
}
