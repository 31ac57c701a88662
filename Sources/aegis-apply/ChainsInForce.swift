import ConfigModel
import Issuers
import Operations
import Reconciler
import State

/// Warnings about the chains of certificates in force that a plan leaves as they are, by the same rules as `status`.
/// The operator's own certificates are left out: `CertificateMaterials` examines their files.
enum ChainsInForce {
    /// The warnings, each at the place of the certificate, or of the host whose certificate it is.
    static func warnings(
        _ plan: Plan, of configuration: Configuration, in file: ConfigurationFile, _ store: (any StateStore)?
    ) throws -> [Diagnostic] {
        guard let store else { return [] }
        let reader = SecretReader(directory: file.directory)
        var chains = ChainFaults(now: currentTime()) { reader.authorities(of: configuration.issuers, for: $0) }
        let changed = Set(plan.changes.filter { ![.update, .adopt].contains($0.work) }.map(\.item))
        var faults: [String: String] = [:]
        try store.forEachCertificate { stored in
            guard stored.facts.source != .custom, stored.facts.loss == nil,
                !changed.contains(ItemID(.certificate, stored.name))
            else { return }
            faults[stored.name] = chains.fault(of: stored) ?? chains.doubt(of: stored)
        }
        guard !faults.isEmpty else { return [] }
        let named = configuration.certificates.compactMap { certificate in
            faults[certificate.name].map { warning(certificate.origin, certificate.name, $0) }
        }
        return named
            + configuration.hosts.filter { $0.sslMode == .letsencrypt && $0.enabled }.compactMap { host in
                faults[host.domain.text].map { warning(host.origin, host.domain.text, $0) }
            }
    }

    private static func warning(_ origin: SourceOrigin, _ name: String, _ fault: String) -> Diagnostic {
        .warning(at: origin, "certificate '\(name)' \(fault)")
    }
}

extension RenewCommand {
    /// Prints what is wrong with the chains of these certificates in force.
    func tellFaults(of names: Set<String>, in store: any StateStore) throws {
        guard !names.isEmpty else { return }
        var chains = try ChainFaults(now: currentTime(), of: store)
        var lines: [String] = []
        try store.forEachCertificate { stored in
            guard names.contains(stored.name), stored.facts.loss == nil,
                let fault = chains.fault(of: stored) ?? chains.doubt(of: stored)
            else { return }
            lines.append("  warning: certificate \(stored.name) \(fault)\n")
        }
        Terminal.complain(lines.joined())
    }
}
