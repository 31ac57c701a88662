/// A queue of jobs, each for a place such as a CA. While there are jobs for several places, no place has more than its
/// share of the running jobs. So a slow place does not delay jobs for other places.
package struct JobQueue<Job: Hashable & Sendable>: Sendable {
    private struct Place {
        var urgent: [Job] = []
        /// Jobs that are not urgent, each with its number in the order of arrival.
        var patient: [(turn: Int, job: Job)] = []
        /// How many jobs at the beginning of `patient` have been taken already.
        var taken = 0
        var running = 0

        var isEmpty: Bool { urgent.isEmpty && taken == patient.count }
        var turn: Int { urgent.isEmpty && taken < patient.count ? patient[taken].turn : 0 }

        mutating func popNext() -> Job? {
            if let job = urgent.popLast() { return job }
            guard taken < patient.count else { return nil }
            let job = patient[taken].job
            taken += 1
            // Taken jobs are removed rarely, since that moves all the other jobs.
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
    /// The waiting jobs. A job that became urgent is in the queue twice, but is taken once.
    private var waiting: Set<Job> = []
    private var running: [Job: String] = [:]

    /// Makes a queue that runs `atOnce` jobs at most. With several places, `share` of them at most are for one place.
    /// A place that has no running job may start one even beyond `atOnce`.
    package init(atOnce: Int, share: Int) {
        self.atOnce = atOnce
        self.share = share
    }

    package func isRunning(_ job: Job) -> Bool { running[job] != nil }

    /// Adds a job, unless it waits or runs already. Urgent jobs are taken first, the latest one before the others.
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

    /// Takes the next job, which counts as running until `ended(_:)`; nil when none may run now.
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

    /// The place that is next among those with room: one with urgent jobs, else the one whose oldest job has waited
    /// longest.
    private func nextPlace() -> String? {
        let limit = places.count == 1 ? atOnce : share
        let isFull = running.count >= atOnce
        return places.lazy.filter { _, place in
            !place.isEmpty && place.running < limit && (!isFull || place.running == 0)
        }.min { $0.value.turn < $1.value.turn }?.key
    }
}
