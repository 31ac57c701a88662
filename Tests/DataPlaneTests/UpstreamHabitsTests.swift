import Testing

@testable import Gateway

@Suite("What upstreams send unasked") struct UpstreamHabitsTests {
    @Test("The gateway listens to an upstream until it was silent once, and again after it has spoken")
    func silence() {
        var habits = UpstreamHabits()
        #expect(!habits.waitsForRequests)
        habits.noteSilence()
        #expect(habits.waitsForRequests)
        // An idle connection that speaks after several responses says nothing of new connections.
        habits.noteUnasked(after: 2, last: [])
        #expect(habits.waitsForRequests)
        habits.noteUnasked(after: 1, last: [])
        #expect(!habits.waitsForRequests)
    }

    @Test("One connection is watched after a HEAD, and others close, until nothing arrives during a watch")
    func watch() {
        var habits = UpstreamHabits()
        for _ in 0..<2 {
            #expect(habits.mayKeep(after: .toHEAD))
            let isWatched = habits.watch(after: .toHEAD)
            #expect(isWatched)
            #expect(!habits.mayKeep(after: .toHEAD) && habits.mayKeep(after: .byStatus) && habits.mayKeep(after: []))
            habits.endWatch(isSilent: false)
        }
        _ = habits.watch(after: .toHEAD)
        habits.endWatch(isSilent: true)
        let isWatched = habits.watch(after: .toHEAD)
        #expect(!isWatched && habits.mayKeep(after: .toHEAD))
    }

    @Test(
        "After a body that came late, no connection is kept after such a response",
        arguments: [
            BodilessResponses.toHEAD, .byStatus,
        ])
    func lateBody(_ kind: BodilessResponses) {
        var habits = UpstreamHabits()
        habits.noteSilence()
        habits.noteUnasked(after: 1, last: kind)
        #expect(!habits.mayKeep(after: kind) && habits.mayKeep(after: []))
        #expect(habits.mayKeep(after: kind == .toHEAD ? .byStatus : .toHEAD))
        #expect(habits.waitsForRequests)
    }
}
