import ConfigModel
import State

enum IssuerProviders {
    /// The providers of all kinds of issuers.
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

    /// A text that is equal for two issuers of the same CA. Only a limited number of orders run at one CA at a time.
    package var caID: String {
        let directory = provider.directory
        return directory.isEmpty ? name : directory
    }
}

extension CertificateFacts.Source {
    /// The kind of issuer. Nil for the operator's own certificates.
    package var provider: (any IssuerProvider.Type)? { IssuerProviders.all.first { $0.source == self } }

    /// The sources whose CAs advise when to renew.
    package static var withAdvice: Set<Self> { Set(IssuerProviders.all.filter { $0.givesAdvice }.map { $0.source }) }

    /// Whether the certificate was ordered from another party. Such a party may not issue another one at once.
    package var isOrdered: Bool { provider.map { !$0.isLocal } ?? false }
}
