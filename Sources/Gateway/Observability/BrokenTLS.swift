import PKI

/// The labels under which metrics count TLS connections that broke after their handshake.
enum BrokenTLS {
    enum Peer: String, CaseIterable {
        case client, upstream
    }

    enum Reason: String, CaseIterable {
        /// The peer sent too many records without data, such as key updates.
        case flood
        case alert
        /// The bytes received are not valid TLS.
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
