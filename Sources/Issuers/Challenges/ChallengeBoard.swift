import Glibc
import State
import Synchronization

/// Answers ACME challenges when no gateway is running.
package protocol ChallengeAnswerer: Sendable {
    /// Starts to answer these challenges too. Earlier challenges are still answered.
    func answer(_ challenges: [ACMEChallenge]) throws(IssuanceFailure)

    func withdraw(tokens: [String])
}

/// Publishes the answers to ACME challenges. The answers are stored in the state, so that all live gateways can give
/// them. If no gateway is live, this process gives the answers itself.
package final class ChallengeBoard: Sendable {
    private let store: any StateStore
    private let holder: LeaseHolder
    private let makeAnswerer: @Sendable () throws(IssuanceFailure) -> any ChallengeAnswerer
    private let answerer = Mutex<(any ChallengeAnswerer)?>(nil)

    /// How long a live gateway may take to apply a change of the state, in milliseconds.
    private static let patienceMilliseconds = 15_000
    /// How long a gateway may take to start, in milliseconds.
    private static let startMilliseconds = 5_000
    private static let pauseMilliseconds = 10

    /// Makes a board. `holder` holds the leases of the certificates. If no gateway is live, the board gets an answerer
    /// from `makeAnswerer` and keeps it. If `makeAnswerer` throws, the board may call it again.
    package init(
        store: any StateStore, holder: LeaseHolder,
        makeAnswerer: @escaping @Sendable () throws(IssuanceFailure) -> any ChallengeAnswerer
    ) {
        self.store = store
        self.holder = holder
        self.makeAnswerer = makeAnswerer
    }

    /// Publishes challenges and waits until all live gateways answer them. If no gateway is live, starts to answer them
    /// in this process.
    ///
    /// - Throws: `IssuanceFailure` if a gateway does not apply the change, or if this process can't listen.
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
                    // A gateway that is starting may already occupy the address. It will soon be live, so the loop
                    // tries again.
                    guard waited < Self.startMilliseconds else { throw error }
                    pause(&waited, since: "no gateway answers its challenges yet")
                    continue
                }
            }
            guard waited < Self.patienceMilliseconds else {
                let problem = late.lastProblem.map { ": \($0)" } ?? ""
                throw IssuanceFailure(
                    "the gateway on \(late.machine) (process \(late.process)) does not follow the state\(problem)",
                    hint: "look into its log")
            }
            let place = "\(late.machine) (process \(late.process))"
            pause(&waited, since: "the gateway on \(place) does not answer its challenges yet")
        }
    }

    private func pause(_ waited: inout Int, since reason: String) {
        WaitNote.during(reason) { Pause.wait(.milliseconds(Self.pauseMilliseconds)) }
        waited += Self.pauseMilliseconds
    }

    /// Removes challenges that the CA has validated or will not validate.
    func withdraw(tokens: [String], for certificate: String) {
        answerer.withLock { $0 }?.withdraw(tokens: tokens)
        // If this process has lost the lease, the challenge stays until its order ends. That is harmless, since only a
        // request with its token gets the answer.
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
