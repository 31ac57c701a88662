import Testing

@testable import Issuers

@Suite struct JobQueueTests {
    private static func queue(_ jobs: [(Int, String)]) -> JobQueue<Int> {
        var queue = JobQueue<Int>(atOnce: 4, share: 2)
        for (job, place) in jobs { queue.add(job, at: place) }
        return queue
    }

    private static func begun(_ queue: inout JobQueue<Int>) -> [Int] {
        var jobs: [Int] = []
        while let job = queue.next() { jobs.append(job) }
        return jobs
    }

    @Test("A CA that is alone may use all slots")
    func alone() {
        var queue = Self.queue((1...6).map { ($0, "a") })
        #expect(Self.begun(&queue) == [1, 2, 3, 4])
        queue.ended(2)
        #expect(Self.begun(&queue) == [5])
        #expect(queue.isRunning(5) && !queue.isRunning(2) && !queue.isRunning(6))
    }

    @Test("No CA takes more than its share from others, and jobs keep their order")
    func shares() {
        var queue = Self.queue([(1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "a"), (6, "b"), (7, "b")])
        #expect(Self.begun(&queue) == [1, 2, 4, 6])
        queue.ended(4)
        #expect(Self.begun(&queue) == [7])
        queue.ended(7)
        queue.ended(6)
        // Now there is only one place.
        #expect(Self.begun(&queue) == [3, 5])
    }

    @Test("A CA without a running job may start one even if all slots are in use")
    func room() {
        var queue = Self.queue((1...4).map { ($0, "a") })
        #expect(Self.begun(&queue) == [1, 2, 3, 4])
        queue.add(5, at: "b")
        queue.add(6, at: "b")
        #expect(Self.begun(&queue) == [5])
        queue.ended(5)
        #expect(Self.begun(&queue) == [6])
    }

    @Test("Urgent jobs run first, and no job runs twice")
    func urgent() {
        var queue = Self.queue((1...3).map { ($0, "a") })
        queue.add(3, at: "a", isUrgent: true)
        queue.add(4, at: "a", isUrgent: true)
        queue.add(1, at: "a")
        #expect(queue.next() == 4)
        queue.add(4, at: "a", isUrgent: true)
        #expect(Self.begun(&queue) == [3, 1, 2])
        for job in 1...4 { queue.ended(job) }
        #expect(queue.next() == nil)
        queue.add(3, at: "a")
        #expect(queue.next() == 3)
    }

    @Test("Ten thousand jobs leave the queue in the order in which they entered")
    func many() {
        var queue = JobQueue<Int>(atOnce: 1, share: 1)
        for job in 0..<10_000 { queue.add(job, at: "a") }
        var jobs: [Int] = []
        while let job = queue.next() {
            jobs.append(job)
            queue.ended(job)
        }
        #expect(jobs == Array(0..<10_000))
    }
}
