/// Leads an order from placed to issued (RFC 8555, section 7.1.6). From the states of the order and its authorizations
/// it decides the next step. It does no I/O: the caller carries the step out, reads the states again, and asks for the
/// next step.
package struct OrderMachine: Sendable {
    /// The next step for the caller.
    package enum Step: Sendable, Hashable {
        /// Answer these challenges, tell the CA, and then call `answered(_:)`.
        case answer([Answer])
        /// Wait, then read these authorizations and the order.
        case await(authorizations: [ACMEURL], after: Duration)
        /// Send the certificate request (CSR) to the order's `finalize` URL.
        case finalize
        /// Wait, then read the order.
        case awaitIssuance(after: Duration)
        case download(ACMEURL)
        /// Give the order up.
        case failed(OrderFailure)
    }

    /// A challenge that needs an answer.
    package struct Answer: Sendable, Hashable {
        /// The authorization that the challenge belongs to.
        package let authorization: ACMEAuthorization
        package let challenge: ACMEAuthorization.Challenge
    }

    /// The longest time for validating, and again for issuing, in seconds.
    package static let patienceSeconds: Int64 = 300

    /// How often the certificate request is sent at most. If a request was lost, the order is still ready and the
    /// request is sent again; the limit keeps a CA from making Aegis send it endlessly.
    private static let maximumFinalizations = 5

    private enum Phase { case authorizing, issuing }

    private let type: ACMEChallengeType
    private var answered: Set<ACMEURL> = []
    private var hasAskedForReasons = false
    private var finalizations = 0
    /// Whether the last step was to send the certificate request.
    private var hasJustFinalized = false
    private var delay = PollDelay()
    /// The phase that the CA has not finished, and when it began.
    private var awaited: (phase: Phase, since: Int64)?

    /// Makes a machine that answers challenges of this type.
    package init(answering type: ACMEChallengeType) { self.type = type }

    /// Notes that the CA was told that a challenge is answered.
    package mutating func answered(_ challenge: ACMEAuthorization.Challenge) { answered.insert(challenge.url) }

    /// The next step. `authorizations` must be all those of a pending or failed order, and is ignored for other orders;
    /// `now` is in seconds since 1970.
    package mutating func next(order: ACMEOrder, authorizations: [ACMEAuthorization], now: Int64) -> Step {
        switch order.status {
        case .pending: authorize(order, authorizations, now)
        case .ready: finalize(order)
        case .processing:
            overdue(.issuing, now, names: []).map { .failed($0) }
                ?? .awaitIssuance(after: delay.next(retryAfter: order.retryAfter))
        case .valid: order.certificate.map { .download($0) } ?? awaitCertificate(order, now)
        case .invalid: explain(order, authorizations)
        }
    }

    /// The step for an order that is valid but does not say where its certificate is.
    private mutating func awaitCertificate(_ order: ACMEOrder, _ now: Int64) -> Step {
        overdue(.issuing, now, names: []) == nil
            ? .awaitIssuance(after: delay.next(retryAfter: order.retryAfter)) : .failed(.noCertificate)
    }

    private mutating func finalize(_ order: ACMEOrder) -> Step {
        // A CA has several servers. The one that shows the order may not know yet that another one has received the
        // request.
        if hasJustFinalized {
            hasJustFinalized = false
            return .awaitIssuance(after: delay.next(retryAfter: order.retryAfter))
        }
        hasJustFinalized = true
        finalizations += 1
        return finalizations > Self.maximumFinalizations ? .failed(.timedOut(names: [])) : .finalize
    }

    private mutating func authorize(_ order: ACMEOrder, _ authorizations: [ACMEAuthorization], _ now: Int64) -> Step {
        let complaints = authorizations.flatMap(complaints)
        if !complaints.isEmpty { return .failed(.refused(complaints)) }
        var answers: [Answer] = []
        let pending = authorizations.filter { $0.status == .pending }
        for authorization in authorizations where authorization.status != .valid {
            guard authorization.status == .pending else {
                return .failed(.ended(name: authorization.name, authorization.status))
            }
            guard let challenge = authorization.challenges.first(where: { $0.type == type }) else {
                let offered = authorization.offeredTypes
                return .failed(.notOffered(type, name: authorization.name, offered: offered))
            }
            if challenge.status == .pending, !answered.contains(challenge.url) {
                answers.append(Answer(authorization: authorization, challenge: challenge))
            }
        }
        if !answers.isEmpty { return .answer(answers) }
        if let failure = overdue(.authorizing, now, names: pending.map(\.name)) {
            return .failed(order.authorizations.isEmpty ? .noAuthorizations : failure)
        }
        let wish = pending.compactMap(\.retryAfter).max() ?? order.retryAfter
        return .await(authorizations: pending.map(\.url), after: delay.next(retryAfter: wish))
    }

    /// The step for an order that has failed. The reasons are in the authorizations. If those were read before the
    /// failure, they are read once more.
    private mutating func explain(_ order: ACMEOrder, _ authorizations: [ACMEAuthorization]) -> Step {
        var complaints = authorizations.flatMap(complaints)
        // Pebble repeats a name's problem as the problem of the order.
        if let problem = order.error, !complaints.contains(where: { $0.problem == problem }) {
            complaints.insert(OrderFailure.Complaint(name: nil, problem: problem), at: 0)
        }
        let pending = authorizations.filter { $0.status == .pending }
        if complaints.isEmpty, !pending.isEmpty, !hasAskedForReasons {
            hasAskedForReasons = true
            return .await(authorizations: pending.map(\.url), after: .zero)
        }
        return .failed(.refused(complaints.isEmpty ? [OrderFailure.Complaint(name: nil, problem: nil)] : complaints))
    }

    private func complaints(of authorization: ACMEAuthorization) -> [OrderFailure.Complaint] {
        let problems = authorization.challenges.filter {
            $0.status == .invalid || authorization.status == .invalid && $0.error != nil
        }.map(\.error)
        guard authorization.status == .invalid || authorization.status == .pending && !problems.isEmpty else {
            return []
        }
        return (problems.isEmpty ? [nil] : problems).map {
            OrderFailure.Complaint(name: authorization.name, problem: $0)
        }
    }

    /// Notes the phase that the CA is in. Returns a failure when the phase has lasted too long.
    private mutating func overdue(_ phase: Phase, _ now: Int64, names: [String]) -> OrderFailure? {
        guard let awaited, awaited.phase == phase else {
            awaited = (phase, now)
            delay = PollDelay()
            return nil
        }
        return now - awaited.since < Self.patienceSeconds ? nil : .timedOut(names: names)
    }
}

/// The wait before the order is read again: the CA's Retry-After, limited to 1 s to 60 s; without one, 250 ms growing
/// to 5 s.
struct PollDelay {
    private var own = Duration.milliseconds(250)

    mutating func next(retryAfter: Duration?) -> Duration {
        if let retryAfter { return min(max(retryAfter, .seconds(1)), .seconds(60)) }
        defer { own = min(own * 2, .seconds(5)) }
        return own
    }
}
