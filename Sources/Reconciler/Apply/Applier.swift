import ConfigModel
import Issuers
import PKI
import State

/// Carries out a plan in four steps:
///
/// 1. Settings, issuers, and hosts that need no certificate of this plan, in one commit. This commit also puts kept
///    certificates in force, until the ordered ones are stored.
/// 2. Certificates that need no CA on another server, each with the hosts that wait for it (`HostSchedule`).
/// 3. Certificates from CAs, several at once. Each is committed with its hosts as soon as it is obtained. Certificates
///    that only lose names come last.
/// 4. Deletions.
///
/// So a slow or silent CA delays only the hosts that need a certificate from this CA. Each commit contains whole items:
/// after a crash, the next apply plans the missing items. If one certificate can't be obtained, the apply continues
/// with the others, and the gateways serve the hosts of the missing one with the fallback certificate.
package struct Applier {
    let context: IssuanceContext
    let sources: CertificateSources
    let stop: StopRequest
    let progress: (ApplyProgress) -> Void

    /// The caller must hold the lease for applying. `progress` is called for each change. After a request to stop, the
    /// apply completes the commit in progress and ends. The journal keeps the orders that were begun, and the next
    /// apply resumes them.
    package init(
        _ context: IssuanceContext, sources: CertificateSources, stop: StopRequest = StopRequest(),
        progress: @escaping (ApplyProgress) -> Void
    ) {
        self.context = context
        self.sources = sources
        self.stop = stop
        self.progress = progress
    }

    var store: any StateStore { context.store }
    var holder: LeaseHolder { context.holder }
    var sealer: Sealer { context.sealer }
    var now: @Sendable () -> Int64 { context.now }

    /// The file that is applied, as the history records it.
    package struct Origin: Sendable {
        /// The file's name as the operator typed it.
        package let fileName: String
        /// The absolute path of the directory that the file's relative paths are relative to.
        package let directory: String
        package let text: [UInt8]

        package init(fileName: String, directory: String, text: [UInt8]) {
            self.fileName = fileName
            self.directory = directory
            self.text = text
        }
    }

    /// Carries out the plan. The mutations `first` become part of the first commit. Hosts in `refused` stay unchanged.
    /// `failedBefore` is the number of failed changes in an earlier plan for the same file. `beforeDeletions` is called
    /// before items are deleted.
    ///
    /// - Throws: `StateError` when the state can't be written or the lease is lost; what was committed stays in force.
    package func apply(
        _ plan: Plan, of configuration: Configuration, from origin: Origin, first: [StateMutation] = [],
        refused: [ItemID: IssuanceFailure] = [:], failedBefore: Int = 0,
        beforeDeletions: () throws -> Void = {}
    ) throws -> ApplyOutcome {
        let (generation, text) = try generation(plan, origin)
        let atHand = try atHand(plan, of: configuration)
        let plan = atHand.plan
        var run = Run(
            applier: self, generation: generation, configuration: configuration,
            hosts: HostSchedule(plan, of: configuration, now: now()), refused: refused, heirs: atHand.heirs,
            pending: first + [.putGeneration(generation, sealedText: text)])
        let changes = plan.changes.filter { $0.action != .delete }
        let orders = changes.filter { $0.item.kind == .edgeCertificate && $0.action != .update }
        try run.putFirst(
            changes.filter {
                $0.item.kind < .certificate || $0.isAtHand
                    || $0.item.kind == .edgeCertificate && $0.action == .update
            } + plan.changes.filter(\.isPassedOn), announcing: orders.filter { !$0.exists },
            besides: atHand.standIns)
        let certificates = changes.filter { $0.item.kind == .certificate && !$0.isAtHand }
        // A name may move from one host to another. The former host's certificate loses the name only when the new
        // host's certificate is in force.
        let narrowed = certificates.filter { configuration.onlyLosesNames($0) }
        let others = certificates.filter { !configuration.onlyLosesNames($0) }
        try run.obtain(others.filter { configuration.isMadeHere($0) })
        try run.obtain(others.filter { !configuration.isMadeHere($0) } + orders)
        try run.obtain(narrowed)
        if !stop.isMade { try beforeDeletions() }
        if !stop.isMade {
            let deletions = plan.changes.filter { $0.action == .delete && $0.item.kind != .host && !$0.isPassedOn }
            try run.delete(deletions, besides: changes)
        }
        return try run.finish(plan, failedBefore: failedBefore)
    }

    private func generation(_ plan: Plan, _ origin: Origin) throws -> (Generation, sealedText: [UInt8]) {
        let number = plan.generation + 1
        let sealed = try sealer.seal(origin.text.span, purpose: SealPurpose.generation, row: "\(number)")
        let generation = Generation(
            number: number, startedAt: now(), who: holder.actor, fileName: origin.fileName,
            directory: origin.directory, fileHash: Digest.sha256Text(origin.text), outcome: .unfinished, summary: "")
        return (generation, sealed)
    }
}
