import Testing

@testable import Gateway

@Suite struct RefusalAllowanceTests {
    @Test("A burst of refusals is reported, then one for each interval")
    func burst() {
        var allowance = RefusalAllowance()
        for _ in 0..<RefusalAllowance.most { #expect(allowance.noteRefusal(at: 1000) == 0) }
        for _ in 0..<7 { #expect(allowance.noteRefusal(at: 1000) == nil) }
        #expect(allowance.noteRefusal(at: 1000 + RefusalAllowance.secondsForOne - 1) == nil)
        #expect(allowance.noteRefusal(at: 1000 + RefusalAllowance.secondsForOne) == 8)
        #expect(allowance.noteRefusal(at: 1000 + RefusalAllowance.secondsForOne) == nil)
        #expect(allowance.noteRefusal(at: 1000 + 2 * RefusalAllowance.secondsForOne) == 1)
    }

    @Test("A pause earns no more than the full burst")
    func pause() {
        var allowance = RefusalAllowance()
        for second in Int64(0)..<500 { _ = allowance.noteRefusal(at: second) }
        var reported = 0
        for _ in 0..<100 where allowance.noteRefusal(at: 1_000_000) != nil { reported += 1 }
        #expect(reported == RefusalAllowance.most)
    }
}
