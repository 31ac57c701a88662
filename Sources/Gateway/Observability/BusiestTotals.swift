/// The traffic of one name, such as a host, to which more traffic is added.
protocol Total: Sendable {
    init()
    static func += (total: inout Self, more: Self)
    /// The amount of traffic that ranks the names.
    var weight: UInt64 { get }
}

/// Totals by name. The busiest names are reported one by one and the others together, so that the output stays small
/// however many names there are. Pure.
///
/// Every reported total only grows, including the total of the others: traffic that was counted with the others stays
/// there when its name is later reported by itself.
struct BusiestTotals<Value: Total>: Sendable {
    /// The most names reported one by one.
    static var toldCount: Int { 100 }
    /// The most names remembered. When there are more, the least busy ones are forgotten and start at 0 again.
    static var knownCount: Int { 10_000 }

    private var totals: [String: Value] = [:]
    private var told: Set<String> = []
    /// The traffic of names while they were not reported by themselves.
    private(set) var rest = Value()

    /// Adds traffic to a name's total.
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

    /// The totals of the names that are reported by themselves, sorted by name.
    var named: [(name: String, total: Value)] {
        told.sorted().compactMap { name in totals[name].map { (name, $0) } }
    }

    /// Reports a name by itself once it is more than twice as busy as a reported one, which it replaces. With a smaller
    /// difference, names would be exchanged too often.
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

    /// Forgets the least busy names. Those reported by themselves stay, and so do the busiest others, up to half of
    /// `knownCount`.
    private mutating func forgetLeastBusy() {
        let told = told
        let others = totals.filter { !told.contains($0.key) }.sorted { $0.value.weight > $1.value.weight }
        for (name, _) in others.dropFirst(Self.knownCount / 2) { totals[name] = nil }
    }
}
