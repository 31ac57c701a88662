/// Jobs that wait for their turn, each at a place such as a CA. A place that is slow takes no more than its share of what is
/// done at once while there are others, so that it holds up nobody else's jobs.
package struct JobQueue<Job: Hashable & Sendable>: Sendable {
    private struct Place {
        var urgent: [Job] = []
        /// With the turns in which they came.
        var patient: [(turn: Int, job: Job)] = []
        /// How many of the patient are taken already.
        var taken = 0
        var running = 0

        var isEmpty: Bool { urgent.isEmpty && taken == patient.count }
        var turn: Int { urgent.isEmpty && taken < patient.count ? patient[taken].turn : 0 }

        mutating func take() -> Job? {
            if let job = urgent.popLast() { return job }
            guard taken < patient.count else { return nil }
            let job = patient[taken].job
            taken += 1
            // Not at each step, which would move all the rest.
            if taken > 64, 2 * taken > patient.count {
                patient.removeFirst(taken)
                taken = 0
            }
            return job
        }
    }

    private let atOnce: Int
    private let share: Int
    private var places: [String: Place] = [:]
    private var turns = 0
    /// What waits. A job that has become urgent stands in the queue twice, and is taken once.
    private var waiting: Set<Job> = []
    private var running: [Job: String] = [:]

    /// A queue of which so many jobs run at once, and `share` at one place when there are others. One job at a place of which
    /// none runs may always.
    package init(atOnce: Int, share: Int) {
        self.atOnce = atOnce
        self.share = share
    }

    /// Whether a job runs.
    package func isRunning(_ job: Job) -> Bool { running[job] != nil }

    /// Adds a job, unless it waits or runs already. Urgent ones go first, the latest before the others.
    package mutating func add(_ job: Job, at place: String, isUrgent: Bool = false) {
        guard !isRunning(job) else { return }
        let isNew = waiting.insert(job).inserted
        if isUrgent {
            places[place, default: Place()].urgent.append(job)
        } else if isNew {
            turns += 1
            places[place, default: Place()].patient.append((turns, job))
        }
    }

    /// The next job, which runs from now on until `ended(_:)`; nil when none may run now.
    package mutating func next() -> Job? {
        while let name = nextPlace() {
            guard let job = places[name]?.take(), waiting.remove(job) != nil else {
                forgetIfIdle(name)
                continue
            }
            running[job] = name
            places[name]?.running += 1
            return job
        }
        return nil
    }

    /// Notes that a job has ended.
    package mutating func ended(_ job: Job) {
        guard let name = running.removeValue(forKey: job) else { return }
        places[name]?.running -= 1
        forgetIfIdle(name)
    }

    private mutating func forgetIfIdle(_ name: String) {
        if let place = places[name], place.isEmpty, place.running == 0 { places[name] = nil }
    }

    /// The place whose turn it is, of those that have room: one with urgent jobs, else the one that has waited the longest.
    private func nextPlace() -> String? {
        let limit = places.count == 1 ? atOnce : share
        let isFull = running.count >= atOnce
        return places.lazy.filter { _, place in
            !place.isEmpty && place.running < limit && (!isFull || place.running == 0)
        }.min { $0.value.turn < $1.value.turn }?.key
    }
}
