/// Decides which steps lead from a placed order to its certificate (RFC 8555 section 7.1.6). The machine does no I/O.
/// The caller reads the order and its authorizations, asks for the next step, performs the step, and starts again.
package struct OrderMachine: Sendable {
    /// The action that the caller must perform before it asks for the next step.
    package enum Step: Sendable, Hashable {
        /// Prepare the answers to these challenges, ask the CA to validate them, and call `answered(_:)` for each.
        case answer([Answer])
        /// Wait, and then read these authorizations and the order.
        case await(authorizations: [ACMEURL], after: Duration)
        /// Send the certificate request (CSR) to the order's `finalize` URL.
        case finalize
        /// Wait, and then read the order.
        case awaitIssuance(after: Duration)
        case download(ACMEURL)
        /// Give up the order.
        case failed(OrderFailure)
    }

    /// A challenge to answer, with its authorization.
    package struct Answer: Sendable, Hashable {
        package let authorization: ACMEAuthorization
        package let challenge: ACMEAuthorization.Challenge
    }

    /// The time limit for validating all names, and again for issuing, in seconds.
    package static let patienceSeconds: Int64 = 300

    /// How many times the certificate request is sent at most. It is sent again if the order is still "ready", since
    /// the request may have been lost. Without a limit, a faulty CA could cause an endless loop.
    private static let maximumFinalizations = 5

    private enum Phase { case authorizing, issuing }

    private let type: ACMEChallengeType
    private var answered: Set<ACMEURL> = []
    private var hasAskedForReasons = false
    /// Whether an order whose authorizations can't be read was read again.
    private var hasReadAgain = false
    private var finalizations = 0
    /// Whether the previous step was `finalize`.
    private var hasJustFinalized = false
    private var delay = PollDelay()
    /// The current phase at the CA, and when it began, in seconds since 1970.
    private var awaited: (phase: Phase, since: Int64)?

    /// Makes a machine that answers challenges of one type.
    package init(answering type: ACMEChallengeType) { self.type = type }

    /// Records that the CA was asked to validate a challenge.
    package mutating func answered(_ challenge: ACMEAuthorization.Challenge) { answered.insert(challenge.url) }

    /// Returns the next step. If the order is pending or invalid, `authorizations` must contain all of its
    /// authorizations; otherwise they are not used. `now` is in seconds since 1970.
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

    /// The step for a valid order whose answer does not have the certificate's URL yet.
    private mutating func awaitCertificate(_ order: ACMEOrder, _ now: Int64) -> Step {
        overdue(.issuing, now, names: []) == nil
            ? .awaitIssuance(after: delay.next(retryAfter: order.retryAfter)) : .failed(.noCertificate)
    }

    private mutating func finalize(_ order: ACMEOrder) -> Step {
        // The CA may have several servers. The server that shows the order may learn later that another server has
        // received the certificate request.
        if hasJustFinalized {
            hasJustFinalized = false
            return .awaitIssuance(after: delay.next(retryAfter: order.retryAfter))
        }
        hasJustFinalized = true
        finalizations += 1
        return finalizations > Self.maximumFinalizations ? .failed(.timedOut(names: [])) : .finalize
    }

    private mutating func authorize(_ order: ACMEOrder, _ authorizations: [ACMEAuthorization], _ now: Int64) -> Step {
        if order.authorizations.isEmpty, let fault = order.authorizationFault {
            // Another answer of the CA may be readable, such as one at the order's own URL.
            guard !hasReadAgain else { return .failed(.noAuthorizations(fault: fault)) }
            hasReadAgain = true
            return .await(authorizations: [], after: .zero)
        }
        let complaints = authorizations.flatMap(complaints)
        if !complaints.isEmpty { return .failed(.refused(complaints)) }
        var answers: [Answer] = []
        let pending = authorizations.filter { $0.status == .pending }
        for authorization in authorizations where authorization.status != .valid {
            guard authorization.status == .pending else {
                return .failed(.ended(name: authorization.name, authorization.status))
            }
            guard
                let challenge = openChallenge(of: authorization)
                    ?? authorization.challenges.first(where: { $0.type == type })
            else {
                let (name, offered) = (authorization.name, authorization.offeredTypes)
                return .failed(
                    authorization.faults[type].map { .unusable(type, name: name, fault: $0) }
                        ?? .notOffered(type, name: name, offered: offered))
            }
            if challenge.status == .pending, !answered.contains(challenge.url) {
                answers.append(Answer(authorization: authorization, challenge: challenge))
            }
        }
        if !answers.isEmpty { return .answer(answers) }
        // Without pending authorizations, the CA may not have shown all of them, or is late with the order's status.
        let names = (pending.isEmpty ? authorizations : pending).map(\.name)
        if let failure = overdue(.authorizing, now, names: names) {
            return .failed(order.authorizations.isEmpty ? .noAuthorizations(fault: nil) : failure)
        }
        let wish = pending.compactMap(\.retryAfter).max() ?? order.retryAfter
        return .await(authorizations: pending.map(\.url), after: delay.next(retryAfter: wish))
    }

    /// The step for a failed order. The authorizations contain the reasons. If they were read before the failure, the
    /// caller must read them again.
    private mutating func explain(_ order: ACMEOrder, _ authorizations: [ACMEAuthorization]) -> Step {
        var complaints = authorizations.flatMap(complaints)
        // Pebble repeats the problem of a name as the problem of the order.
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

    /// The first challenge of the machine's type that can still succeed. A CA may list a failed challenge before a new
    /// one of the same type.
    private func openChallenge(of authorization: ACMEAuthorization) -> ACMEAuthorization.Challenge? {
        authorization.challenges.first { $0.type == type && $0.status != .invalid }
    }

    private func complaints(of authorization: ACMEAuthorization) -> [OrderFailure.Complaint] {
        let problems = authorization.challenges.filter {
            $0.status == .invalid || authorization.status == .invalid && $0.error != nil
        }.map(\.error)
        guard
            authorization.status == .invalid
                || authorization.status == .pending && !problems.isEmpty && openChallenge(of: authorization) == nil
        else { return [] }
        return (problems.isEmpty ? [nil] : problems).map {
            OrderFailure.Complaint(name: authorization.name, problem: $0)
        }
    }

    /// Records the current phase. Returns a failure if the phase has lasted longer than `patienceSeconds`.
    private mutating func overdue(_ phase: Phase, _ now: Int64, names: [String]) -> OrderFailure? {
        guard let awaited, awaited.phase == phase else {
            awaited = (phase, now)
            delay = PollDelay()
            return nil
        }
        return now - awaited.since < Self.patienceSeconds ? nil : .timedOut(names: names)
    }
}

/// The delay before the order is read again. It is the CA's Retry-After, but at least 1 s and at most 60 s. Without
/// Retry-After, it grows from 250 ms to 5 s.
struct PollDelay {
    private var own = Duration.milliseconds(250)

    mutating func next(retryAfter: Duration?) -> Duration {
        if let retryAfter { return min(max(retryAfter, .seconds(1)), .seconds(60)) }
        defer { own = min(own * 2, .seconds(5)) }
        return own
    }
}
