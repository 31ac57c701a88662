import ConfigModel
import State

extension CertificateFacts {
    /// Whether the certificate covers all of these names, each by the name itself or by a wildcard one level above.
    package func covers(_ names: [DomainName]) -> Bool { uncovered(names.map(\.text)).isEmpty }

    /// The names that the certificate does not cover. Names may be wildcards or addresses.
    func uncovered(_ names: [String]) -> [String] {
        let domains = Set(domains)
        return names.filter { name in
            let parent = name.hasPrefix("*.") ? nil : name.firstIndex(of: ".").map { name[$0...] }
            return !domains.contains(name) && parent.map { domains.contains("*\($0)") } != true
        }
    }
}
