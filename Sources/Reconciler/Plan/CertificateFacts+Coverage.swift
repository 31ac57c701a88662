import ConfigModel
import State

extension CertificateFacts {
    /// Whether the certificate is good for all of some names.
    package func covers(_ names: [DomainName]) -> Bool { uncovered(names.map(\.text)).isEmpty }

    /// Those of some names, wildcards and addresses among them, that the certificate is not good for.
    func uncovered(_ names: [String]) -> [String] {
        let domains = Set(domains)
        return names.filter { name in
            let parent = name.hasPrefix("*.") ? nil : name.firstIndex(of: ".").map { name[$0...] }
            return !domains.contains(name) && parent.map { domains.contains("*\($0)") } != true
        }
    }
}
