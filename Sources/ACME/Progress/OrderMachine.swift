/// Takes an order from placed to issued: told how order and authorizations stand, it says what comes next (RFC 8555, section
/// 7.1.6). It does nothing itself; whoever asks does as it says, looks again, and asks again.
package struct OrderMachine: Sendable {
    /// What comes next.
    package enum Step: Sendable, Hashable {
        /// Have these challenges answered, tell the CA, and then `answered(_:)`.
        case answer([Answer])
        /// Wait, then look at these authorizations and the order.
        case await(authorizations: [ACMEURL], after: Duration)
        /// Send the request.
        case finalize
        /// Wait, then look at the order.
        case awaitIssuance(after: Duration)
        /// Fetch the certificate.
        case download(ACMEURL)
        /// Give up.
        case failed(OrderFailure)
    }

    /// A challenge that waits for its answer.
    package struct Answer: Sendable, Hashable {
        /// What it authorizes.
        package let authorization: ACMEAuthorization
        /// The challenge.
        package let challenge: ACMEAuthorization.Challenge
    }

    /// How long the CA may take to validate, and again to issue, in seconds.
    package static let patienceSeconds: Int64 = 300

    /// As often an order may be ready: again when a request got lost, but a CA can't have us send it without end.
    private static let maximumFinalizations = 5

    private enum Phase { case authorizing, issuing }

    private let type: ACMEChallengeType
    private var answered: Set<ACMEURL> = []
    private var hasAskedForReasons = false
    private var finalizations = 0
    /// Whether the request was sent, and the order not looked at for a while since.
    private var hasJustFinalized = false
    private var delay = PollDelay()
    /// What is awaited, and since when.
    private var awaited: (phase: Phase, since: Int64)?

    /// A machine that answers challenges of this type.
    package init(answering type: ACMEChallengeType) { self.type = type }

    /// Notes that the CA was told of a challenge's answer.
    package mutating func answered(_ challenge: ACMEAuthorization.Challenge) { answered.insert(challenge.url) }

    /// What comes next. All authorizations of the order are given; `now` is in seconds since 1970.
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

    /// Of an order that is issued, though nobody says where the certificate is.
    private mutating func awaitCertificate(_ order: ACMEOrder, _ now: Int64) -> Step {
        overdue(.issuing, now, names: []) == nil
            ? .awaitIssuance(after: delay.next(retryAfter: order.retryAfter)) : .failed(.noCertificate)
    }

    private mutating func finalize(_ order: ACMEOrder) -> Step {
        // The request may have arrived where the order is not shown from yet.
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

    /// Of an order that has failed. The reasons stand with the authorizations, which may have been looked at too early.
    private mutating func explain(_ order: ACMEOrder, _ authorizations: [ACMEAuthorization]) -> Step {
        var complaints = authorizations.flatMap(complaints)
        // Pebble repeats a name's problem here.
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

    /// Notes what is awaited; the failure when that has lasted too long.
    private mutating func overdue(_ phase: Phase, _ now: Int64, names: [String]) -> OrderFailure? {
        guard let awaited, awaited.phase == phase else {
            awaited = (phase, now)
            delay = PollDelay()
            return nil
        }
        return now - awaited.since < Self.patienceSeconds ? nil : .timedOut(names: names)
    }
}

/// How long to wait before looking again: as the CA says within 1 s and 60 s, else 250 ms growing to 5 s.
struct PollDelay {
    private var own = Duration.milliseconds(250)

    mutating func next(retryAfter: Duration?) -> Duration {
        if let retryAfter { return min(max(retryAfter, .seconds(1)), .seconds(60)) }
        defer { own = min(own * 2, .seconds(5)) }
        return own
    }
}
