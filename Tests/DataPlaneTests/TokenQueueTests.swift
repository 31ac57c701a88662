import Testing

@testable import Gateway

@Suite("Tokens that wait for their turn")
struct TokenQueueTests {
    @Test("Tokens leave in the order in which they entered, however adds and removals are mixed")
    func order() {
        var queue = TokenQueue()
        var generator = SplitMix(state: 3)
        var (put, taken) = (UInt64(0), UInt64(0))
        for step in 0..<40_000 {
            // The queue grows and shrinks for long periods, so that memory is reused and tokens move to the front.
            let grows = step / 5000 % 2 == 0
            if generator.next() % 4 == 0 ? grows : !grows {
                let token = queue.popFirst()
                #expect(token?.raw == (taken < put ? taken : nil))
                if token != nil { taken += 1 }
            } else {
                queue.append(Token(raw: put))
                put += 1
            }
            #expect(queue.isEmpty == (put == taken))
        }
        while let token = queue.popFirst() {
            #expect(token.raw == taken)
            taken += 1
        }
        #expect(put == taken && put > 10_000)
    }
}
