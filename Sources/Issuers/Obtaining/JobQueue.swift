/// A queue of jobs. Each job belongs to a place, such as a CA. If several places have jobs, each place gets only a
/// share of the running jobs. So a slow place does not delay the jobs of other places.
package struct JobQueue<Job: Hashable & Sendable>: Sendable {
    private struct Place {
        var urgent: [Job] = []
        /// The jobs that are not urgent, with a number that grows with each added job.
        var patient: [(turn: Int, job: Job)] = []
        /// How many jobs at the start of `patient` were already taken.
        var taken = 0
        var running = 0

        var isEmpty: Bool { urgent.isEmpty && taken == patient.count }
        var turn: Int { urgent.isEmpty && taken < patient.count ? patient[taken].turn : 0 }

        mutating func popNext() -> Job? {
            if let job = urgent.popLast() { return job }
            guard taken < patient.count else { return nil }
            let job = patient[taken].job
            taken += 1
            // Removing jobs from the front moves all other jobs, so it happens rarely.
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
    /// The waiting jobs. A job that was added again as urgent is in two lists, but only once in this set, so it runs
    /// only once.
    private var waiting: Set<Job> = []
    private var running: [Job: String] = [:]

    /// Makes a queue that runs at most `atOnce` jobs. If several places have jobs, each runs at most `share` of them. A
    /// place without running jobs may start one even if `atOnce` jobs are running.
    package init(atOnce: Int, share: Int) {
        self.atOnce = atOnce
        self.share = share
    }

    package func isRunning(_ job: Job) -> Bool { running[job] != nil }

    /// Adds a job, unless it is running. A waiting job that is added as urgent becomes urgent. Urgent jobs run first.
    /// Among urgent jobs, the latest runs first.
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

    /// Takes the next job. It counts as running until the call of `ended(_:)`. Returns nil if no job may start now.
    package mutating func next() -> Job? {
        while let name = nextPlace() {
            guard let job = places[name]?.popNext(), waiting.remove(job) != nil else {
                forgetIfIdle(name)
                continue
            }
            running[job] = name
            places[name]?.running += 1
            return job
        }
        return nil
    }

    package mutating func ended(_ job: Job) {
        guard let name = running.removeValue(forKey: job) else { return }
        places[name]?.running -= 1
        forgetIfIdle(name)
    }

    private mutating func forgetIfIdle(_ name: String) {
        if let place = places[name], place.isEmpty, place.running == 0 { places[name] = nil }
    }

    /// The place whose job runs next: a place with urgent jobs, or else the place whose first job has waited
    /// longest. Places that already run their share are skipped.
    private func nextPlace() -> String? {
        let limit = places.count == 1 ? atOnce : share
        let isFull = running.count >= atOnce
        return places.lazy.filter { _, place in
            !place.isEmpty && place.running < limit && (!isFull || place.running == 0)
        }.min { $0.value.turn < $1.value.turn }?.key
    }
}
