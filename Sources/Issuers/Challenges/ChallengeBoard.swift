import Glibc
import State
import Synchronization

/// Answers challenges where no gateway does.
package protocol ChallengeAnswerer: Sendable {
    /// Answers these from now on, besides those before.
    func answer(_ challenges: [ACMEChallenge]) throws(IssuanceFailure)

    /// Answers these no longer.
    func withdraw(tokens: [String])
}

/// Where challenges are put to be answered: into the state, for the gateways that are alive; without one, this process
/// answers itself.
package final class ChallengeBoard: Sendable {
    private let store: any StateStore
    private let holder: LeaseHolder
    private let makeAnswerer: @Sendable () throws(IssuanceFailure) -> any ChallengeAnswerer
    private let answerer = Mutex<(any ChallengeAnswerer)?>(nil)

    /// How long a gateway that is alive may take to put a change in force, in milliseconds.
    private static let patienceMilliseconds = 15_000
    /// How long a gateway may take to start, in milliseconds.
    private static let startMilliseconds = 5_000
    private static let pauseMilliseconds = 10

    /// A board for who holds the certificates' leases. `makeAnswerer` is called when no gateway is alive, once.
    package init(
        store: any StateStore, holder: LeaseHolder,
        makeAnswerer: @escaping @Sendable () throws(IssuanceFailure) -> any ChallengeAnswerer
    ) {
        self.store = store
        self.holder = holder
        self.makeAnswerer = makeAnswerer
    }

    /// Puts challenges, and returns when whoever is asked will answer them: all gateways that are alive have them in force.
    ///
    /// - Throws: `IssuanceFailure` when a gateway does not follow, or there is none and this process can't listen.
    func publish(_ challenges: [ACMEChallenge], for certificate: String) throws(IssuanceFailure) {
        let revision = try writing { () throws(StateError) in
            try store.commit(
                challenges.map { .putChallenge($0, certificate: certificate) }, by: holder,
                under: .certificate(certificate))
        }
        var waited = 0
        while true {
            let nodes = try liveNodes()
            guard let late = nodes.first(where: { $0.position.revision < revision }) else {
                guard nodes.isEmpty else { return }
                do throws(IssuanceFailure) {
                    return try answerHere(challenges)
                } catch {
                    // The address may be a gateway's that is just starting.
                    guard waited < Self.startMilliseconds else { throw error }
                    pause(&waited)
                    continue
                }
            }
            guard waited < Self.patienceMilliseconds else {
                let problem = late.lastProblem.map { ": \($0)" } ?? ""
                throw IssuanceFailure(
                    "the gateway on \(late.machine) (process \(late.process)) does not follow the state\(problem)",
                    hint: "look into its log")
            }
            pause(&waited)
        }
    }

    private func pause(_ waited: inout Int) {
        Pause.wait(.milliseconds(Self.pauseMilliseconds))
        waited += Self.pauseMilliseconds
    }

    /// Takes challenges away that were asked or are no longer.
    func withdraw(tokens: [String], for certificate: String) {
        answerer.withLock { $0 }?.withdraw(tokens: tokens)
        // What stays for want of a lease goes with the order's end, and answers nobody who does not know the token.
        let mutations = tokens.map { StateMutation.deleteChallenge(token: $0) }
        _ = try? store.commit(mutations, by: holder, under: .certificate(certificate))
    }

    private func answerHere(_ challenges: [ACMEChallenge]) throws(IssuanceFailure) {
        let made = try answerer.withLock { answerer throws(IssuanceFailure) in
            if answerer == nil { answerer = try makeAnswerer() }
            return answerer
        }
        try made?.answer(challenges)
    }

    private func liveNodes() throws(IssuanceFailure) -> [GatewayNode] {
        let now = Int64(time(nil))
        let nodes = try writing { () throws(StateError) in try store.nodes() }
        return nodes.filter { $0.isServing(at: now) }
    }

    private func writing<Value>(_ work: () throws(StateError) -> Value) throws(IssuanceFailure) -> Value {
        do throws(StateError) {
            return try work()
        } catch {
            throw IssuanceFailure("\(error)")
        }
    }
}
