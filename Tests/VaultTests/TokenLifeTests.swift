import Testing

@testable import Vault

/// When tokens are due, and how often calls are repeated, without I/O.
@Suite struct TokenLifeTests {
    private func life(_ seconds: Int64, of full: Int64? = nil, isRenewable: Bool = true) -> VaultTokenLife {
        VaultTokenLife(grantedAt: 1000, seconds: seconds, fullSeconds: full ?? seconds, isRenewable: isRenewable)
    }

    @Test(
        "A token is due after two thirds of its life, or at most a fifteenth later",
        arguments: [UInt64(0), 1 << 63, .max])
    func due(jitter: UInt64) throws {
        let due = try #require(life(600).dueAt(jitter: jitter))
        #expect((1400...1440).contains(due))
        #expect(abs(due - 1400 - Int64(40 * Double(jitter) / Double(UInt64.max))) <= 1)
    }

    @Test("A token without an end is never due")
    func endless() {
        let life = life(0)
        #expect(life.dueAt(jitter: 0) == nil && life.endsAt == nil && !life.hasEnded(at: .max))
        #expect(life.step(at: .max, jitter: 0) == .keep)
    }

    @Test("A token is used, then renewed, and replaced by a login when it has ended")
    func renewed() {
        let life = life(600)
        #expect(life.step(at: 1399, jitter: 0) == .keep)
        #expect(life.step(at: 1400, jitter: 0) == .renew)
        #expect(life.step(at: 1599, jitter: 0) == .renew)
        #expect(life.step(at: 1600, jitter: 0) == .logIn)
    }

    @Test("A token that can't be renewed is replaced before it ends")
    func notRenewable() {
        let life = life(600, isRenewable: false)
        #expect(life.step(at: 1399, jitter: 0) == .keep && life.step(at: 1400, jitter: 0) == .logIn)
    }

    @Test("A renewal that was cut short is the last one")
    func capped() {
        #expect(!life(600).isCapped && !life(400, of: 600).isCapped && life(399, of: 600).isCapped)
        #expect(life(300, of: 900).step(at: 1199, jitter: 0) == .keep)
        #expect(life(300, of: 900).step(at: 1200, jitter: 0) == .logIn)
    }

    @Test("Lifetimes beyond the range of a clock are limited", arguments: [Int64.max, .min, -1])
    func extreme(seconds: Int64) {
        let life = VaultTokenLife(grantedAt: 1 << 33, seconds: seconds, fullSeconds: seconds, isRenewable: true)
        #expect(life.endsAt.map { $0 > 1 << 33 } ?? true)
        _ = life.step(at: .max, jitter: .max)
    }

    @Test("Delays after failures grow up to five minutes")
    func rests() {
        #expect((0...8).map(VaultTokenRetry.delaySeconds) == [10, 10, 20, 40, 80, 160, 300, 300, 300])
    }

    @Test(
        "A call is repeated twice, after 1 to 1.5 s or as the server asks",
        arguments: [UInt64(0), 7, .max])
    func patience(jitter: UInt64) throws {
        var patience = VaultPatience(budget: .seconds(60), jitter: jitter)
        let first = patience.delay(retryAfter: nil, spent: .zero)
        let second = patience.delay(retryAfter: .seconds(5), spent: .zero)
        #expect((.milliseconds(1000)...(.milliseconds(1500))).contains(try #require(first)) && second == .seconds(5))
        let third = patience.delay(retryAfter: nil, spent: .zero)
        #expect(third == nil)
    }

    @Test("No try begins after the total time for tries")
    func budget() {
        var patience = VaultPatience(budget: .seconds(60), jitter: 0)
        let long = patience.delay(retryAfter: .seconds(60), spent: .zero)
        patience = VaultPatience(budget: .seconds(60), jitter: 0)
        let late = patience.delay(retryAfter: nil, spent: .seconds(59))
        #expect(long == nil && late == nil)
    }
}
