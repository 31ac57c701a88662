import ConfigModel
import Issuers
import State

/// Looks whether the certificates that a plan orders from ACME CAs could be issued, by asking name servers, the CAs and the names
/// themselves. It changes nothing, and what it finds are warnings.
package struct Preflight {
    /// How many names are looked at at once.
    private static let workers = 8

    private struct Name: Sendable {
        let text: String
        let origin: SourceOrigin
        let authorities: [PreflightChecks.CA]
    }

    private let issuers: [Issuer]
    private let needs: [(need: WantedCertificate, origin: SourceOrigin, isHad: Bool)]

    /// For the certificates that a plan has from ACME CAs. `snapshot` is what the plan was made against.
    package init(_ plan: Plan, of configuration: Configuration, against snapshot: StateSnapshot) {
        needs = plan.changes.compactMap { change in
            guard change.item.kind == .certificate, !change.isAtHand, let item = change.declared, item.isWanted,
                let need = WantedCertificate(
                    configuration.value(of: item), named: change.item.name, from: configuration.issuers)
            else { return nil }
            let isHad = snapshot.items[change.item]?.certificate?.source == .letsencrypt
            return (need, configuration.origin(of: item), isHad)
        }
        let used = Set(needs.flatMap { $0.need.issuers.map(\.name) })
        issuers = configuration.issuers.filter { used.contains($0.name) }
    }

    /// Makes all checks, which takes seconds for a few names. Nothing is asked when no certificate is to be ordered.
    ///
    /// `makeChecks` makes them for what is needed.
    package func run(
        _ makeChecks: ([WantedCertificate]) throws(IssuanceFailure) -> PreflightChecks
    ) throws -> [Diagnostic] {
        guard !needs.isEmpty else { return [] }
        let checks = try makeChecks(needs.map(\.need))
        let workers = ParallelWork(count: Self.workers)
        var warnings = checks.warnings
        var authorities: [String: PreflightChecks.CA] = [:]
        try workers.run(issuers) { issuer, tell in
            if let authority = checks.look(at: issuer) { tell((issuer.name, authority)) }
        } receive: { found in
            for (name, authority) in found { authorities[name] = authority }
        }
        warnings += issuers.flatMap { authorities[$0.name]?.warnings ?? [] }
        warnings += checks.limitWarnings(needs, with: Array(authorities.values))
        let names = needs.flatMap { need in
            let known = need.need.issuers.compactMap { authorities[$0.name] }
            return need.need.names.map { Name(text: $0, origin: need.origin, authorities: known) }
        }
        try workers.run(names) { name, tell in
            tell(checks.check(name.text, at: name.origin, with: name.authorities))
        } receive: { found in
            warnings += found.joined()
        }
        return warnings + checks.omissions
    }
}

extension Configuration {
    /// Where a certificate was written.
    fileprivate func origin(of item: DeclaredItem) -> SourceOrigin {
        switch item.place {
        case .certificate(let index): certificates[index].origin
        case .hostCertificate(let index): hosts[index].origin
        default: .none
        }
    }
}
