import Dispatch
import Synchronization
import Testing

@testable import Issuers
@testable import Reconciler

@Suite struct ParallelWorkTests {
    private struct Refusal: Error {}

    @Test(
        "Each input is processed once, and each worker's reports arrive in order",
        arguments: [0, 1, 3, 500])
    func everything(_ count: Int) throws {
        var told: [(input: Int, step: Int)] = []
        try ParallelWork(count: 4).run(Array(0..<count)) { input, tell in
            for step in 0..<3 { tell((input, step)) }
        } receive: {
            told += $0
        }
        #expect(told.count == 3 * count)
        for input in 0..<count { #expect(told.filter { $0.input == input }.map(\.step) == [0, 1, 2]) }
    }

    @Test("All workers run at once, even with fewer cores")
    func atOnce() throws {
        let started = Mutex(0)
        let allStarted = DispatchSemaphore(value: 0)
        try ParallelWork(count: 8).run(Array(0..<8)) { (_: Int, _: (Int) -> Void) in
            let isLast = started.withLock { count in
                count += 1
                return count == 8
            }
            // Each input waits for the last one. With fewer threads, the test would never end.
            if isLast { for _ in 0..<8 { allStarted.signal() } }
            allStarted.wait()
        } receive: { _ in
        }
        #expect(started.withLock { $0 } == 8)
    }

    @Test(
        "Slow places hold up no other place, however many they are",
        arguments: [[7, 7], [2, 2, 2, 2], [1, 1, 1, 1, 1, 1, 1, 1, 1]])
    func slowPlaces(_ slow: [Int]) throws {
        let isDone = DispatchSemaphore(value: 0)
        let inputs = slow.enumerated().flatMap { Array(repeating: "slow \($0.offset)", count: $0.element) } + ["good"]
        var told: [String] = []
        try ParallelWork(count: 8).run(inputs, at: { $0 }) { input, tell in
            // The others wait for the good place. If it never had its turn, the test would never end.
            if input == "good" {
                for _ in inputs { isDone.signal() }
            } else {
                isDone.wait()
            }
            tell(input)
        } receive: {
            told += $0
        }
        #expect(told.count == inputs.count)
    }

    @Test("An error of the receiver is passed on, and no later result is delivered")
    func failure() throws {
        var taken = 0
        #expect(throws: Refusal.self) {
            try ParallelWork(count: 2).run(Array(0..<1000)) { input, tell in
                tell(input)
            } receive: { _ in
                taken += 1
                throw Refusal()
            }
        }
        #expect(taken == 1)
    }

    @Test("After a stop request nothing begins, and only necessary work is awaited")
    func stopping() throws {
        let stop = StopRequest()
        let mayEnd = DispatchSemaphore(value: 0)
        let neverEnds = DispatchSemaphore(value: 0)
        var taken: [String] = []
        // If the last input were waited for, the test would never end.
        try ParallelWork(count: 2, stop: stop).run(["needed", "left", "never begun"], isNeeded: { $0 == "needed" }) {
            input, tell in
            tell("\(input) begins")
            (input == "needed" ? mayEnd : neverEnds).wait()
            tell("\(input) ends")
        } receive: { events in
            taken += events
            guard taken.count >= 2, !stop.isMade else { return }
            stop.make()
            mayEnd.signal()
        }
        #expect(Set(taken) == ["needed begins", "left begins", "needed ends"])
        try ParallelWork(count: 2, stop: stop).run([1]) { (_: Int, _: (Int) -> Void) in
        } receive: { _ in
            Issue.record("it was asked to stop before")
        }
        neverEnds.signal()
    }

    @Test("After a stop request an open step finishes, none begins, and cancelled work reports nothing")
    func steps() throws {
        let told = Mutex<[String]>([])
        let stop = StopRequest { words in told.withLock { $0.append(words) } }
        let mayEnd = DispatchSemaphore(value: 0)
        let mayBegin = DispatchSemaphore(value: 0)
        let hasEnded = Mutex(false)
        var taken: [String] = []
        try ParallelWork(count: 2, stop: stop).run(["open", "late"]) { input, tell in
            if input == "late" {
                tell("late begins")
                mayBegin.wait()
                let result = Result { try StepGate.step("an order") { hasEnded.withLock { _ in true } } }
                #expect(throws: StepGate.Closed.self) { try result.get() }
                #expect(StepGate.isCutShort)
                tell("late fails")
                mayEnd.signal()
            } else {
                _ = try? StepGate.step("an order") {
                    tell("open begins")
                    mayEnd.wait()
                    // A step within a step is part of it.
                    try StepGate.step("an order") { hasEnded.withLock { $0 = true } }
                }
            }
        } receive: { events in
            taken += events
            guard taken.count == 2, !stop.isMade else { return }
            stop.make()
            mayBegin.signal()
        }
        #expect(hasEnded.withLock { $0 })
        #expect(Set(taken) == ["open begins", "late begins"])
        #expect(told.withLock { $0 } == ["waits up to 15 s for a CA's answer to an order"])
    }

    @Test("A wait within a step delays no stop, and the step does not continue after it")
    func interruptedStep() throws {
        let gate = StepGate()
        let isIdle = DispatchSemaphore(value: 0)
        let wait = StepGate.interrupting { _, _ in
            #expect(!gate.hasOpenSteps)
            gate.close { isIdle.signal() }
        }
        var hasGoneOn = false
        let result = gate.including {
            Result {
                try StepGate.step("an order") {
                    try wait(.seconds(1), "busy")
                    hasGoneOn = true
                }
            }
        }
        #expect(throws: StepGate.Closed.self) { try result.get() }
        #expect(isIdle.wait(timeout: .now()) == .success && !hasGoneOn && !gate.hasOpenSteps)
        // Without a gate, or with an open one, a step simply runs.
        let goOn = StepGate.interrupting { _, _ in }
        let step = {
            try StepGate.step("an order") {
                try goOn(.zero, "busy")
                return 1
            }
        }
        #expect(try step() == 1)
        #expect(try StepGate().including(step) == 1)
    }

    @Test("A stop waits for a request only after it was sent, and never for a request that changes nothing")
    func requests() throws {
        for isSent in [false, true] {
            let gate = StepGate()
            let hasResumed = Mutex<Bool?>(nil)
            let result = gate.including {
                Result {
                    try StepGate.step("an order") {
                        try StepGate.interrupting {
                            #expect(!gate.hasOpenSteps)
                            if isSent { hasResumed.withLock { $0 = StepGate.resume() } }
                            #expect(gate.openSteps == (isSent ? "an order" : nil))
                            gate.close {}
                            if !isSent { hasResumed.withLock { $0 = StepGate.resume() } }
                        }
                        return 1
                    }
                }
            }
            #expect(hasResumed.withLock { $0 } == isSent && (try? result.get()) == (isSent ? 1 : nil))
            #expect(!gate.hasOpenSteps)
            let check = gate.including { Result { try StepGate.check() } }
            #expect(throws: StepGate.Closed.self) { try check.get() }
        }
        // Without a gate, everything may begin.
        try StepGate.check()
        #expect(StepGate.resume())
    }
}
