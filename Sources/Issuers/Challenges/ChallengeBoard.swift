import Glibc
import State
import Synchronization

/// Answers challenges when no gateway is running.
package protocol ChallengeAnswerer: Sendable {
    /// Answers these challenges from now on, in addition to earlier ones.
    func answer(_ challenges: [ACMEChallenge]) throws(IssuanceFailure)

    /// Stops answering the challenges with these tokens.
    func withdraw(tokens: [String])
}

/// Publishes challenges for their answerers: in the state, for all live gateways; without a live gateway, this process
/// answers them itself.
package final class ChallengeBoard: Sendable {
    private let store: any StateStore
    private let holder: LeaseHolder
    private let makeAnswerer: @Sendable () throws(IssuanceFailure) -> any ChallengeAnswerer
    private let answerer = Mutex<(any ChallengeAnswerer)?>(nil)

    /// How long a live gateway may take to apply a change, in milliseconds.
    private static let patienceMilliseconds = 15_000
    /// How long a gateway may take to start, in milliseconds.
    private static let startMilliseconds = 5_000
    private static let pauseMilliseconds = 10

    /// Makes a board for the holder of the certificates' leases. `makeAnswerer` is called once, when no gateway is
    /// live.
    package init(
        store: any StateStore, holder: LeaseHolder,
        makeAnswerer: @escaping @Sendable () throws(IssuanceFailure) -> any ChallengeAnswerer
    ) {
        self.store = store
        self.holder = holder
        self.makeAnswerer = makeAnswerer
    }

    /// Publishes challenges. Returns when all live gateways answer them, or else this process does.
    ///
    /// - Throws: `IssuanceFailure` when a gateway does not apply the change, or there is no gateway and this process
    ///   can't listen.
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
                    // A gateway that is just starting may already listen on the address, and will soon be live.
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

    /// Withdraws challenges that the CA has checked or will not check.
    func withdraw(tokens: [String], for certificate: String) {
        answerer.withLock { $0 }?.withdraw(tokens: tokens)
        // If this process has lost the lease, the challenge stays until its order ends. That does no harm: it answers
        // only requests that name its token.
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
