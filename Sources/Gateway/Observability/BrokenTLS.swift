import PKI

/// How metrics tell TLS connections apart that broke after their handshakes.
enum BrokenTLS {
    /// Whose fault it was.
    enum Peer: String, CaseIterable {
        case client, upstream
    }

    enum Reason: String, CaseIterable {
        /// Records without data, such as key updates, came one after the other.
        case flood
        /// The other end has broken off, and has said so.
        case alert
        /// What came is no TLS.
        case malformed

        init(_ failure: TLSFailure) {
            switch failure.cause {
            case .flood: self = .flood
            case .alert: self = .alert
            case .version, .algorithms, .other: self = .malformed
            }
        }
    }

    static func counter(_ peer: Peer, _ reason: Reason) -> WorkerMetrics.Counter {
        switch (peer, reason) {
        case (.client, .flood): .clientsFlooding
        case (.client, .alert): .clientsAlerting
        case (.client, .malformed): .clientsMalformed
        case (.upstream, .flood): .upstreamsFlooding
        case (.upstream, .alert): .upstreamsAlerting
        case (.upstream, .malformed): .upstreamsGarbled
        }
    }
}
