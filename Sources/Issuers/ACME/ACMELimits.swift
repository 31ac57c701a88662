import ACME
import ConfigModel
import PKI
import State

/// Checks a CA's published rate limits before an order is placed. Refused orders may count against the limits too, so
/// Aegis does not place an order that the CA would refuse.
struct ACMELimits {
    private let directory: String
    private let limits: RateLimits?
    /// Nil if there is no state yet, and so no earlier requests.
    private let store: (any IssuanceJournal)?

    init(_ settings: ACMEIssuer, store: (any IssuanceJournal)?) {
        directory = settings.directory.text
        self.store = store
        let isLetsEncrypt =
            directory.split(separator: "/").dropFirst().first?.hasSuffix(".api.letsencrypt.org") ?? false
        limits = settings.rateLimits.map { $0 == .letsencrypt } ?? isLetsEncrypt ? .letsEncrypt : nil
    }

    /// Reads the ledger of past events. Returns nil if the CA has no rate limits that Aegis knows.
    func ledger(now: Int64) throws(StateError) -> RateLimitLedger? {
        guard let limits else { return nil }
        let entries = try store?.ledger(of: directory, since: now - LedgerEntry.keptSeconds) ?? []
        return RateLimitLedger(entries.filter { !$0.isExempt }.flatMap(\.events), limits: limits)
    }

    /// Throws if the rate limits forbid an order with these names now. The `IssuanceFailure` contains the time when the
    /// order is allowed.
    func check(_ names: [SubjectName], now: Int64) throws {
        guard case .from(let time, let limit) = try ledger(now: now)?.permission(for: names, now: now) else { return }
        throw Self.refusal(until: time, limit)
    }

    static func refusal(until time: Int64, _ limit: String) -> IssuanceFailure {
        IssuanceFailure(
            "\(limit); not before \(UTCTime.text(time))", hint: "a gateway that runs will have it then", notBefore: time
        )
    }

    /// Adds an entry to the ledger. CAs without known limits get entries too, since the operator may configure limits
    /// later.
    func note(_ kind: LedgerEntry.Kind, _ names: [String], isExempt: Bool = false, now: Int64) throws {
        try store?.addToLedger(
            LedgerEntry(at: now, directory: directory, kind: kind, names: names, isExempt: isExempt))
    }
}

extension LedgerEntry {
    /// The events that count against rate limits.
    fileprivate var events: [RateLimitLedger.Event] {
        let identifiers = names.compactMap { try? SubjectName($0) }
        return switch kind {
        case .order: [RateLimitLedger.Event(.order, at: at)]
        case .certificate: [RateLimitLedger.Event(.certificate(identifiers), at: at)]
        case .failedAuthorization: identifiers.map { RateLimitLedger.Event(.failedAuthorization($0), at: at) }
        }
    }
}
