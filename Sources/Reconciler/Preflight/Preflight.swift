import ConfigModel
import Issuers
import State

/// Checks whether CAs could issue the certificates that a plan orders: asks name servers, the CAs, and the hosts
/// themselves. Changes nothing, and reports warnings only.
package struct Preflight {
    /// How many names are checked at once.
    private static let workers = 8

    private struct Name: Sendable {
        let text: String
        let origin: SourceOrigin
        let authorities: [PreflightChecks.CA]
    }

    private let issuers: [Issuer]
    private let needs: [(need: WantedCertificate, origin: SourceOrigin, isRenewal: Bool)]

    /// Prepares checks for the certificates that the plan orders from ACME CAs. `snapshot` is the state that the plan
    /// was made from.
    package init(_ plan: Plan, of configuration: Configuration, against snapshot: StateSnapshot) {
        needs = plan.changes.compactMap { change in
            guard change.item.kind == .certificate, !change.isAtHand, let item = change.declared, item.isWanted,
                let need = try? WantedCertificate(
                    configuration.value(of: item), named: change.item.name, from: configuration.issuers),
                !need.authorities.isEmpty
            else { return nil }
            let isRenewal = snapshot.items[change.item]?.certificate?.source.provider?.givesAdvice == true
            return (need, configuration.origin(of: item), isRenewal)
        }
        let used = Set(needs.flatMap { $0.need.authorities.map(\.name) })
        issuers = configuration.issuers.filter { used.contains($0.name) }
    }

    /// Runs all checks, which takes seconds for a few names. Without ordered certificates nothing is checked or sent.
    ///
    /// `makeChecks` makes the checks for the certificates that are ordered. `stillWaiting` is called every five seconds.
    package func run(
        stillWaiting: () -> Void = {},
        _ makeChecks: ([WantedCertificate]) throws(IssuanceFailure) -> PreflightChecks
    ) throws -> [Diagnostic] {
        guard !needs.isEmpty else { return [] }
        let checks = try makeChecks(needs.map(\.need))
        let workers = ParallelWork(count: Self.workers)
        var warnings = checks.warnings
        var authorities: [String: PreflightChecks.CA] = [:]
        try workers.run(issuers, stillWaiting: { _, _ in stillWaiting() }) { issuer, tell in
            if let authority = checks.look(at: issuer) { tell((issuer.name, authority)) }
        } receive: { found in
            for (name, authority) in found { authorities[name] = authority }
        }
        warnings += issuers.flatMap { authorities[$0.name]?.warnings ?? [] }
        warnings += checks.limitWarnings(needs, with: Array(authorities.values))
        let names = needs.flatMap { need in
            let known = need.need.authorities.compactMap { authorities[$0.name] }
            return need.need.names.map { Name(text: $0, origin: need.origin, authorities: known) }
        }
        try workers.run(names, stillWaiting: { _, _ in stillWaiting() }) { name, tell in
            tell(checks.check(name.text, at: name.origin, with: name.authorities))
        } receive: { found in
            warnings += found.joined()
        }
        return warnings + checks.omissions
    }
}

extension Configuration {
    /// The position of a certificate in the file; none for other items.
    fileprivate func origin(of item: DeclaredItem) -> SourceOrigin {
        switch item.place {
        case .certificate(let index): certificates[index].origin
        case .hostCertificate(let index): hosts[index].origin
        default: .none
        }
    }
}
