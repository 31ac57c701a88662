import ACME
import ConfigModel
import PKI
import State

/// Checks a CA's published limits against the ledger of earlier requests. An order that the CA would refuse is not
/// placed, since refusals may count too.
struct ACMELimits {
    private let directory: String
    private let limits: RateLimits?
    /// Nil where there is no state yet, so that no request has been made.
    private let store: (any IssuanceJournal)?

    init(_ settings: ACMEIssuer, store: (any IssuanceJournal)?) {
        directory = settings.directory.text
        self.store = store
        let isLetsEncrypt =
            directory.split(separator: "/").dropFirst().first?.hasSuffix(".api.letsencrypt.org") ?? false
        limits = settings.rateLimits.map { $0 == .letsencrypt } ?? isLetsEncrypt ? .letsEncrypt : nil
    }

    /// The ledger of past events; nil for a CA whose limits are not observed.
    func ledger(now: Int64) throws(StateError) -> RateLimitLedger? {
        guard let limits else { return nil }
        let entries = try store?.ledger(of: directory, since: now - LedgerEntry.keptSeconds) ?? []
        return RateLimitLedger(entries.filter { !$0.isExempt }.flatMap(\.events), limits: limits)
    }

    /// Throws `IssuanceFailure` if no order for these names may be placed now. The failure tells when one may be
    /// placed.
    func check(_ names: [SubjectName], now: Int64) throws {
        guard case .from(let time, let limit) = try ledger(now: now)?.permission(for: names, now: now) else { return }
        throw Self.refusal(until: time, limit)
    }

    /// The failure for an order that is not placed yet.
    static func refusal(until time: Int64, _ limit: String) -> IssuanceFailure {
        IssuanceFailure(
            "\(limit); not before \(UTCTime.text(time))", hint: "a gateway that runs will have it then", notBefore: time
        )
    }

    /// Adds an entry to the ledger. CAs without limits have entries too, since limits may be configured later.
    func note(_ kind: LedgerEntry.Kind, _ names: [String], isExempt: Bool = false, now: Int64) throws {
        try store?.addToLedger(
            LedgerEntry(at: now, directory: directory, kind: kind, names: names, isExempt: isExempt))
    }
}

extension LedgerEntry {
    /// The entry as events that the limits count.
    fileprivate var events: [RateLimitLedger.Event] {
        let identifiers = names.compactMap { try? SubjectName($0) }
        return switch kind {
        case .order: [RateLimitLedger.Event(.order, at: at)]
        case .certificate: [RateLimitLedger.Event(.certificate(identifiers), at: at)]
        case .failedAuthorization: identifiers.map { RateLimitLedger.Event(.failedAuthorization($0), at: at) }
        }
    }
}
