import Testing

@testable import Gateway

private struct Count: Total, Equatable {
    var weight: UInt64 = 0

    init() {}
    init(_ weight: UInt64) { self.weight = weight }

    static func += (total: inout Count, more: Count) { total.weight += more.weight }
}

/// Which names have a total of their own, and which share one.
@Suite("Busiest totals") struct BusiestTotalsTests {
    @Test("A small number of hosts is listed one by one")
    func few() {
        var totals = BusiestTotals<Count>()
        for step in 0..<1000 { totals.add("host \(step % 100)", Count(1)) }
        #expect(totals.named.count == 100)
        #expect(totals.named.allSatisfy { $0.total == Count(10) })
        #expect(totals.named.map(\.name) == totals.named.map(\.name).sorted())
        #expect(totals.rest == Count())
    }

    @Test("Of many hosts the busiest are listed, and every total only grows")
    func turnover() {
        var totals = BusiestTotals<Count>()
        var generator = SplitMix(state: 5)
        var seen: [String: UInt64] = [:]
        var rest: UInt64 = 0
        var all: UInt64 = 0
        for _ in 0..<200 {
            for _ in 0..<500 {
                // The product makes low numbers more frequent. Many of these names first appear when all places are taken.
                let number = (generator.next() % 1000) * (generator.next() % 1000) / 1000
                totals.add("host \(number)", Count(1))
                all += 1
            }
            totals.rank()
            #expect(totals.named.count == 100)
            for (name, total) in totals.named {
                #expect(total.weight >= seen[name] ?? 0)
                seen[name] = total.weight
            }
            #expect(totals.rest.weight >= rest)
            rest = totals.rest.weight
        }
        let told = totals.named.reduce(0) { $0 + $1.total.weight }
        #expect(told <= all && rest <= all && told + rest >= all)
    }

    @Test("A host that becomes busy replaces one that is not busy")
    func entering() {
        var totals = BusiestTotals<Count>()
        for number in 0..<100 { totals.add("host \(number)", Count(UInt64(number) + 10)) }
        totals.add("new", Count(20))
        totals.rank()
        #expect(!totals.named.contains { $0.name == "new" })
        totals.add("new", Count(2))
        totals.rank()
        #expect(totals.named.contains { $0.name == "new" })
        #expect(!totals.named.contains { $0.name == "host 0" })
        // Traffic that was counted in the shared total stays there.
        #expect(totals.rest == Count(22))
        totals.add("new", Count(5))
        #expect(totals.named.first { $0.name == "new" }?.total == Count(27) && totals.rest == Count(22))
    }

    @Test("The number of known names is limited")
    func bounded() {
        var totals = BusiestTotals<Count>()
        for number in 0..<50_000 { totals.add("host \(number)", Count(1)) }
        #expect(totals.known <= BusiestTotals<Count>.knownCount)
        #expect(totals.rest == Count(49_900))
    }
}
