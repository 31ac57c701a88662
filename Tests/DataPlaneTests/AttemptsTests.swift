import Testing

@testable import Gateway

@Suite("The attempts to send a request") struct AttemptsTests {
    private typealias Failure = Attempts.Failure

    @Test("Before a byte was sent, each address and then each upstream is tried once, whatever the method")
    func beforeTheRequest() {
        var attempts = Attempts()
        let refused = Failure(isBeforeRequest: true)
        attempts.begin(with: 1)
        for index in [1, 2, 0] {
            #expect(attempts.candidate == index)
            attempts.assign(index, of: 3)
            #expect(attempts.next(after: refused, isRepeatable: false, addresses: 2, upstreams: 3) == .nextAddress)
            let isLast = index == 0
            #expect(
                attempts.next(after: refused, isRepeatable: false, addresses: 2, upstreams: 3)
                    == (isLast ? .none : .nextUpstream))
        }
    }

    @Test("A connection that takes too long leads to other addresses and upstreams, too")
    func slowConnection() {
        var attempts = Attempts()
        attempts.assign(0, of: 2)
        let late = Failure(isBeforeRequest: true, timedOut: true)
        #expect(attempts.next(after: late, isRepeatable: true, addresses: 1, upstreams: 2) == .nextUpstream)
        attempts.assign(1, of: 2)
        #expect(attempts.next(after: late, isRepeatable: true, addresses: 1, upstreams: 2) == .none)
    }

    @Test("A request lost on an idle connection is sent once more on a new one, if a repetition is harmless")
    func deadConnection() {
        let dead = Failure(wasReused: true)
        var attempts = Attempts()
        attempts.assign(0, of: 1)
        #expect(attempts.next(after: dead, isRepeatable: true, addresses: 1, upstreams: 1) == .newConnection)
        #expect(attempts.wantsNewConnection)
        #expect(attempts.next(after: Failure(), isRepeatable: true, addresses: 1, upstreams: 1) == .none)
        attempts = Attempts()
        attempts.assign(0, of: 2)
        #expect(attempts.next(after: dead, isRepeatable: false, addresses: 1, upstreams: 2) == .none)
        #expect(!attempts.wantsNewConnection)
    }

    @Test("A request of which no byte was sent on an idle connection is sent on a new one, whatever the method")
    func untouchedRequest() {
        var attempts = Attempts()
        attempts.assign(0, of: 1)
        let untouched = Failure(isUntouched: true, wasReused: true)
        #expect(attempts.next(after: untouched, isRepeatable: false, addresses: 1, upstreams: 1) == .newConnection)
    }

    @Test("A request that may have arrived is repeated once, at another upstream, and only if that is harmless")
    func lostAnswer() {
        for isRepeatable in [true, false] {
            var attempts = Attempts()
            attempts.assign(0, of: 3)
            let next = attempts.next(after: Failure(), isRepeatable: isRepeatable, addresses: 4, upstreams: 3)
            #expect(next == (isRepeatable ? .nextUpstream : .none))
            attempts.assign(1, of: 3)
            #expect(attempts.next(after: Failure(), isRepeatable: isRepeatable, addresses: 4, upstreams: 3) == .none)
        }
    }

    @Test("An answer that takes too long leads to no second attempt: the upstream may still be at work")
    func slowAnswer() {
        for failure in [Failure(timedOut: true), Failure(wasReused: true, timedOut: true)] {
            var attempts = Attempts()
            attempts.assign(0, of: 2)
            #expect(attempts.next(after: failure, isRepeatable: true, addresses: 1, upstreams: 2) == .none)
        }
    }

    @Test("A repetition on a new connection is the only one: the next upstream gets no second one")
    func onlyOneRepetition() {
        var attempts = Attempts()
        attempts.assign(0, of: 2)
        #expect(
            attempts.next(after: Failure(wasReused: true), isRepeatable: true, addresses: 1, upstreams: 2)
                == .newConnection)
        #expect(attempts.next(after: Failure(), isRepeatable: true, addresses: 1, upstreams: 2) == .none)
        // The repeated request has not reached anybody if not even a connection was made.
        let refused = Failure(isBeforeRequest: true)
        #expect(attempts.next(after: refused, isRepeatable: true, addresses: 1, upstreams: 2) == .nextUpstream)
    }

    @Test("A health check tries each address of its upstream, and no other upstream")
    func healthCheck() {
        var attempts = Attempts()
        attempts.assign(0, of: 1)
        let refused = Failure(isBeforeRequest: true)
        #expect(attempts.next(after: refused, isRepeatable: true, addresses: 2, upstreams: 0) == .nextAddress)
        #expect(attempts.next(after: refused, isRepeatable: true, addresses: 2, upstreams: 0) == .none)
    }
}
