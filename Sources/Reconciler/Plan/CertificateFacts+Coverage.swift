import ConfigModel
import State

extension CertificateFacts {
    /// Whether the certificate is good for all of some names.
    package func covers(_ names: [DomainName]) -> Bool {
        let domains = Set(domains)
        return names.allSatisfy { name in
            domains.contains(name.text) || (!name.isWildcard && domains.contains("*.\(name.parent)"))
        }
    }
}
