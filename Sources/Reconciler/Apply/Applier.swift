import ConfigModel
import Issuers
import PKI
import State

/// Carries a plan out, in four steps:
///
/// 1. what needs no certificate of this plan: settings, issuers, most hosts, in one commit, with kept certificates that stand
///    in for those that are ordered;
/// 2. certificates that are made here, each with the hosts that wait for it (`HostSchedule`);
/// 3. certificates from CAs, several at once, each committed with its hosts as soon as it is obtained, those that only lose
///    names last;
/// 4. deletions of what others depended on.
///
/// So a CA that is slow or silent holds up nothing but the hosts that need it. Killed at any instant, it leaves whole items: the
/// next apply plans what is missing and goes on. A certificate that can't be obtained does not stop the others, nor the hosts
/// that use it: they are served with the fallback certificate.
package struct Applier {
    let tools: IssuanceContext
    let sources: CertificateSources
    let stop: StopRequest
    let progress: (ApplyProgress) -> Void

    /// An applier for somebody who holds the lease. `progress` is told of each change. After a request to stop, it ends with the
    /// commit under way; orders that were begun stay in the journal, from which the next apply goes on.
    package init(
        _ tools: IssuanceContext, sources: CertificateSources, stop: StopRequest = StopRequest(),
        progress: @escaping (ApplyProgress) -> Void
    ) {
        self.tools = tools
        self.sources = sources
        self.stop = stop
        self.progress = progress
    }

    var store: any StateStore { tools.store }
    var holder: LeaseHolder { tools.holder }
    var sealer: Sealer { tools.sealer }
    var now: @Sendable () -> Int64 { tools.now }

    /// What is applied, for the history.
    package struct Origin: Sendable {
        /// The file's name as it was typed.
        package let fileName: String
        /// The absolute path of the directory that relative paths start from.
        package let directory: String
        /// The file's text.
        package let text: [UInt8]

        /// An origin.
        package init(fileName: String, directory: String, text: [UInt8]) {
            self.fileName = fileName
            self.directory = directory
            self.text = text
        }
    }

    /// Carries the plan out. `first` is committed with the first change, whatever it is; hosts that are `refused` stay as they
    /// are; `beforeDeletions` is called before the last step.
    ///
    /// - Throws: `StateError` when the state can't be written or the lease is lost; what was committed stays in force.
    package func apply(
        _ plan: Plan, of configuration: Configuration, from origin: Origin, first: [StateMutation] = [],
        refused: [ItemID: IssuanceFailure] = [:],
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
                [.gateway, .issuer].contains($0.item.kind) || $0.isAtHand
                    || $0.item.kind == .edgeCertificate && $0.action == .update
            } + plan.changes.filter(\.isPassedOn), announcing: orders.filter { !$0.exists },
            besides: atHand.standIns)
        let certificates = changes.filter { $0.item.kind == .certificate && !$0.isAtHand }
        // A name may be on its way from one host to another: its certificate loses it when the other's is there.
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
        return try run.finish(plan)
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
