/// Counts an account's orders and certificates at a CA, and computes when the CA's rate limits allow the next order. A
/// copy of the ledger can be used to simulate future orders. Times are in seconds since 1970.
package struct RateLimitLedger: Sendable {
    /// An event that counts against a rate limit. Callers must leave out events that the CA exempts, such as renewals.
    package struct Event: Sendable, Hashable {
        package enum Kind: Sendable, Hashable {
            case order
            /// A certificate with these names was issued.
            case certificate([ACMEIdentifier])
            /// The CA could not validate control over a name.
            case failedAuthorization(ACMEIdentifier)
        }

        package let kind: Kind
        package let at: Int64

        package init(_ kind: Kind, at: Int64) {
            self.kind = kind
            self.at = at
        }
    }

    package enum Permission: Sendable, Hashable {
        case now
        /// The order may be placed from this time on. `limit` describes the rate limit that delays it.
        case from(Int64, limit: String)
    }

    private enum Bucket: Hashable {
        case orders
        case domain(String)
        case set([String])
        case failures(String)
    }

    private let limits: RateLimits
    /// When each token bucket will be full again. A missing bucket is full.
    private var fullAt: [Bucket: Int64] = [:]

    /// Makes a ledger from past events, in any order. Events that are older than the limits' windows have no effect.
    package init(_ events: some Sequence<Event> = [], limits: RateLimits = .letsEncrypt) {
        self.limits = limits
        for event in events.sorted(by: { $0.at < $1.at }) { note(event) }
    }

    /// Adds an event. Events must be added in the order of their times.
    package mutating func note(_ event: Event) {
        for bucket in buckets(of: event.kind) {
            fullAt[bucket] = max(fullAt[bucket] ?? event.at, event.at) + limit(of: bucket).refillSeconds
        }
    }

    /// The earliest time at which all limits allow an order with these names.
    package func permission(for names: [ACMEIdentifier], now: Int64) -> Permission {
        let asked =
            [.orders] + buckets(of: .certificate(names)) + names.flatMap { buckets(of: .failedAuthorization($0)) }
        let times = asked.map { (bucket: $0, at: nextAt($0)) }
        guard let last = times.max(by: { $0.at < $1.at }), last.at > now else { return .now }
        return .from(last.at, limit: words(last.bucket))
    }

    /// The earliest time at which the bucket allows another event.
    private func nextAt(_ bucket: Bucket) -> Int64 {
        let limit = limit(of: bucket)
        return fullAt[bucket].map { $0 - (limit.count - 1) * limit.refillSeconds } ?? .min
    }

    private func buckets(of kind: Event.Kind) -> [Bucket] {
        switch kind {
        case .order: [.orders]
        case .certificate(let names):
            // A certificate counts once per domain, even if it has several names in that domain.
            Set(names.map(RegisteredDomain.of)).sorted().map { .domain($0) } + [.set(Set(names.map(\.text)).sorted())]
        case .failedAuthorization(let name): [.failures(RegisteredDomain.withoutWildcard(name.text))]
        }
    }

    private func limit(of bucket: Bucket) -> RateLimits.Limit {
        switch bucket {
        case .orders: limits.orders
        case .domain: limits.certificatesOfDomain
        case .set: limits.certificatesOfSet
        case .failures: limits.failures
        }
    }

    private func words(_ bucket: Bucket) -> String {
        let limit = limit(of: bucket)
        return switch bucket {
        case .orders: "the account's limit of orders (\(limit)) is reached"
        case .domain(let domain): "the limit of certificates for \(domain) (\(limit)) is reached"
        case .set: "the limit of certificates for exactly these names (\(limit)) is reached"
        case .failures(let name): "the limit of failed authorizations of \(name) (\(limit)) is reached"
        }
    }
}
