/// What an account has done at a CA, and when its limits allow the next order. A value: to see what a plan comes to, note in
/// a copy what it would do. Times are in seconds since 1970.
package struct RateLimitLedger: Sendable {
    /// Something that counts. What the CA exempts is left out.
    package struct Event: Sendable, Hashable {
        /// What was done.
        package enum Kind: Sendable, Hashable {
            /// An order was placed.
            case order
            /// A certificate was issued for these names.
            case certificate([ACMEIdentifier])
            /// A name could not be authorized.
            case failedAuthorization(ACMEIdentifier)
        }

        /// What was done.
        package let kind: Kind
        /// When.
        package let at: Int64

        /// Something that was done.
        package init(_ kind: Kind, at: Int64) {
            self.kind = kind
            self.at = at
        }
    }

    /// Whether an order may be placed.
    package enum Permission: Sendable, Hashable {
        /// At once.
        case now
        /// From then on, and which limit says so, in words.
        case from(Int64, limit: String)
    }

    private enum Bucket: Hashable {
        case orders
        case domain(String)
        case set([String])
        case failures(String)
    }

    private let limits: RateLimits
    /// From when on each bucket is full again. Those that are full already need not be there.
    private var fullAt: [Bucket: Int64] = [:]

    /// A ledger of what has happened, in any order; what is older than the limits' windows makes no difference.
    package init(_ events: some Sequence<Event> = [], limits: RateLimits = .letsEncrypt) {
        self.limits = limits
        for event in events.sorted(by: { $0.at < $1.at }) { note(event) }
    }

    /// Takes down what has happened after all the rest.
    package mutating func note(_ event: Event) {
        for bucket in buckets(of: event.kind) {
            fullAt[bucket] = max(fullAt[bucket] ?? event.at, event.at) + limit(of: bucket).refillSeconds
        }
    }

    /// When an order for these names may be placed: the latest time that any limit says.
    package func permission(for names: [ACMEIdentifier], now: Int64) -> Permission {
        let asked =
            [.orders] + buckets(of: .certificate(names)) + names.flatMap { buckets(of: .failedAuthorization($0)) }
        let times = asked.map { (bucket: $0, at: nextAt($0)) }
        guard let last = times.max(by: { $0.at < $1.at }), last.at > now else { return .now }
        return .from(last.at, limit: words(last.bucket))
    }

    /// When a bucket has one for us.
    private func nextAt(_ bucket: Bucket) -> Int64 {
        let limit = limit(of: bucket)
        return fullAt[bucket].map { $0 - (limit.count - 1) * limit.refillSeconds } ?? .min
    }

    private func buckets(of kind: Event.Kind) -> [Bucket] {
        switch kind {
        case .order: [.orders]
        case .certificate(let names):
            // A certificate counts once for a domain, however many of its names are there.
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
