import ConfigModel
import State

enum IssuerProviders {
    /// One provider for each kind of issuer. The order does not matter, since each accepts only issuers of its kind.
    static let all: [any IssuerProvider.Type] = [
        ACMEProvider.self, OriginProvider.self, LocalCAProvider.self, VaultPKIProvider.self,
    ]
}

extension Issuer {
    package var provider: any IssuerProvider {
        for type in IssuerProviders.all {
            if let provider = type.init(self) { return provider }
        }
        // A test checks that each kind has a provider.
        preconditionFailure("each kind of issuer has a provider")
    }

    /// A text that is equal for two issuers of the same CA. Callers use it to limit how many orders run at one CA at a
    /// time.
    package var caID: String {
        let address = provider.address
        return address.isEmpty ? name : address
    }
}

extension CertificateFacts.Source {
    /// The kind of issuer. Nil for the operator's own certificates.
    package var provider: (any IssuerProvider.Type)? { IssuerProviders.all.first { $0.source == self } }

    /// The sources whose CAs advise when to renew.
    package static var withAdvice: Set<Self> { Set(IssuerProviders.all.filter { $0.givesAdvice }.map { $0.source }) }

    /// Whether the certificate was ordered from another party, which may refuse or delay an order for another one.
    package var isOrdered: Bool { provider.map { !$0.isLocal } ?? false }
}
