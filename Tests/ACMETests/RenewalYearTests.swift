import Testing

@testable import ACME

@Suite struct RenewalYearTests {
    struct Fleet: Sendable, CustomTestStringConvertible {
        let title: String
        /// Lifetimes in hours. The certificates get them in turn.
        let lifetimes: [Int64]
        /// The percentage of tries that fail.
        var failures = 0
        var days: Int64 = 365
        /// The largest number of orders in one hour.
        let maximumPerHour: Int
        var testDescription: String { title }
    }

    static let fleets = [
        Fleet(title: "6, 45 and 90 days", lifetimes: [160, 45 * 24, 90 * 24], maximumPerHour: 250),
        Fleet(title: "90 days", lifetimes: [90 * 24], maximumPerHour: 70),
        Fleet(title: "6 days, for 60 days", lifetimes: [160], days: 60, maximumPerHour: 650),
        Fleet(
            title: "6, 45 and 90 days, a third of all tries fails, for 120 days", lifetimes: [160, 45 * 24, 90 * 24],
            failures: 33, days: 120, maximumPerHour: 400),
    ]

    /// SplitMix64, so that each run has the same numbers.
    struct Generator: RandomNumberGenerator {
        var state: UInt64 = 1

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }

    @Test(
        "Of 10,000 certificates from one instant, none expires in a year of renewals and no hour is busy",
        arguments: fleets)
    func year(_ fleet: Fleet) {
        let end = fleet.days * 86_400
        var perHour = [Int](repeating: 0, count: Int(end / 3600) + 1)
        var generator = Generator()
        var leastLeft = 1.0
        for number in 0..<10_000 {
            let lifetime = fleet.lifetimes[number % fleet.lifetimes.count] * 3600
            var candidate = RenewalCandidate(name: "\(number).example.com", notBefore: 0, notAfter: lifetime)
            while true {
                let at = RenewalScheduler.dueAt(candidate, seed: 7)
                guard at < end else { break }
                perHour[Int(at / 3600)] += 1
                candidate.lastTryAt = at
                if Int.random(in: 0..<100, using: &generator) < fleet.failures {
                    candidate.failures += 1
                    continue
                }
                leastLeft = min(leastLeft, Double(candidate.notAfter - at) / Double(lifetime))
                (candidate.notBefore, candidate.notAfter, candidate.failures) = (at, at + lifetime, 0)
            }
        }
        let most = perHour.max() ?? 0
        let all = perHour.reduce(0, +)
        print(
            "\(fleet.title): \(all) orders, \(all / perHour.count) an hour, \(most) in the busiest,",
            "at least \(Int(leastLeft * 100)) % of the lifetime left")
        #expect(leastLeft > 0.3)
        #expect(most <= fleet.maximumPerHour)
    }
}
