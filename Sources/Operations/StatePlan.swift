import ConfigModel
import Reconciler
import State

/// What applying a file would change in a state, as far as that follows from the two alone: no other file is read, and no
/// provider is asked.
///
/// The operator's own certificates count as unchanged. New ones are known only when they are applied.
package struct StatePlan {
    package let plan: Plan
    /// Why an apply would be refused, and what it would warn of, in the order of the file.
    package let diagnostics: [Diagnostic]

    /// `now` is in seconds since 1970.
    package init(of parsed: ParsedConfiguration, _ configuration: Configuration, in store: any StateStore, now: Int64)
        throws
    {
        let snapshot = try store.snapshot()
        let own = configuration.certificates.compactMap { certificate -> (String, CertificateMaterial)? in
            guard case .custom = certificate.source else { return nil }
            let stored = snapshot.items[ItemID(.certificate, certificate.name)]?.certificate
            return (
                certificate.name,
                stored.map { .readable(digest: $0.sourceDigest) } ?? .unreadable("known after apply")
            )
        }
        plan = Planner(
            configuration, against: snapshot, materials: Dictionary(own) { first, _ in first },
            drift: try EdgeStatus.orderedAgain(configuration, snapshot, store), now: now
        ).plan()
        let deletions = plan.massDeletion.map { [$0.refusal] } ?? []
        diagnostics = (plan.conflicts + deletions + parsed.diagnostics).sorted { $0.position < $1.position }
    }
}

extension Plan.MassDeletion {
    /// The error that an apply without `--allow-deletions` gives for this mass deletion.
    package var refusal: Diagnostic {
        .error(
            at: .none, "\(lost) of the \(total) names of the enabled hosts would be deleted or disabled",
            hint: "nothing is applied; to do this, give --allow-deletions")
    }
}
