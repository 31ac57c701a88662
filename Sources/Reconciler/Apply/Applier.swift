import ConfigModel
import Issuers
import PKI
import State

/// Carries a plan out: what others depend on first, deletions last. Several certificates are had at once, each committed as
/// soon as it is there.
///
/// Killed at any instant, it leaves whole items: the next apply plans what is missing and goes on. A certificate that can't
/// be had does not stop the others, nor the hosts that use it: they are served with the fallback certificate.
public struct Applier {
    private let tools: IssuanceTools
    private let sources: CertificateSources
    private let progress: (ApplyProgress) -> Void

    /// An applier for somebody who holds the lease. `progress` is told of each change.
    public init(_ tools: IssuanceTools, sources: CertificateSources, progress: @escaping (ApplyProgress) -> Void) {
        self.tools = tools
        self.sources = sources
        self.progress = progress
    }

    private var store: any StateStore { tools.store }
    private var holder: LeaseHolder { tools.holder }
    private var sealer: Sealer { tools.sealer }
    private var now: @Sendable () -> Int64 { tools.now }

    /// What is applied, for the history.
    public struct Origin: Sendable {
        /// The file's name as it was typed.
        public let fileName: String
        /// The absolute path of the directory that relative paths start from.
        public let directory: String
        /// The file's text.
        public let text: [UInt8]

        /// An origin.
        public init(fileName: String, directory: String, text: [UInt8]) {
            self.fileName = fileName
            self.directory = directory
            self.text = text
        }
    }

    /// Carries the plan out. `first` is committed with the first change, whatever it is.
    ///
    /// - Throws: `StateError` when the state can't be written or the lease is lost; what was committed stays in force.
    public func apply(
        _ plan: Plan, of configuration: Configuration, from origin: Origin, first: [StateMutation] = []
    ) throws -> ApplyOutcome {
        let (generation, text) = try generation(plan, origin)
        var run = Run(applier: self, generation: generation, pending: first)
        run.pending.append(.putGeneration(generation, sealedText: text))
        let changes = plan.changes.filter { $0.action != .delete }
        let early = changes.filter { $0.item.kind == .gateway || $0.item.kind == .issuer }
        try run.put(early, of: configuration)
        try run.obtain(changes.filter { $0.item.kind == .certificate }, of: configuration)
        let edge = changes.filter { $0.item.kind == .edgeCertificate }
        try run.put(edge.filter { $0.action == .update }, of: configuration)
        let orders = edge.filter { $0.action != .update }
        try run.announce(orders.filter { !$0.exists }, of: configuration)
        try run.obtain(orders, of: configuration)
        try run.putHosts(changes.filter { $0.item.kind == .host }, of: configuration)
        try run.delete(plan.changes.filter { $0.action == .delete }, besides: changes, of: configuration)
        return try run.finish()
    }

    /// The edge certificate that takes over names of one that goes, if it is not active yet: a renamed one is no other.
    private func pendingHeir(of certificate: EdgeCertificate, in configuration: Configuration) throws -> String? {
        let heirs = configuration.edgeCertificates.filter {
            $0.zoneID == certificate.zoneID && !Set($0.hosts).isDisjoint(with: certificate.hosts)
        }
        guard !heirs.isEmpty else { return nil }
        let newest = Dictionary(try store.edgePacks().map { ($0.certificate, $0) }) { $1 }
        return heirs.map(\.displayName).first { newest[$0]?.isActive != true }
    }

    /// Does at a provider what an item's going asks for.
    private func carryOut(_ retirement: Retirement, of item: ItemID) throws(IssuanceFailure) {
        switch retirement {
        case .revoke(let settings):
            let stored: StoredCertificate?
            do throws(StateError) {
                stored = try store.certificate(named: item.name)
            } catch {
                throw IssuanceFailure("\(error)")
            }
            if let remote = stored?.remote { try OriginRevocations(tools).revoke(remote.id, settings) }
        case .deletePack(let certificate): try EdgePacks(tools).delete(certificate, named: item.name)
        }
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

extension Applier {
    /// How many certificates are had at once: more would only wait for each other, or for the same CA.
    private static let certificatesAtOnce = 8

    /// One apply under way.
    private struct Run {
        let applier: Applier
        let generation: Generation
        /// What goes into the commit of the first change, the generation among it.
        var pending: [StateMutation]
        var outcome = ApplyOutcome()

        /// Commits changes, and what failed meanwhile.
        private mutating func commit(
            _ mutations: [StateMutation], _ changes: [Change], failed: [AuditEvent] = []
        ) throws {
            guard !mutations.isEmpty || !failed.isEmpty else { return }
            // A generation is an apply that changed something.
            let first = mutations.isEmpty ? [] : pending
            let events = changes.map { event($0) } + failed
            try applier.store.commit(first + mutations + events.map(StateMutation.appendEvent), by: applier.holder)
            outcome.failures += failed.count
            guard !mutations.isEmpty else { return }
            pending = []
            outcome.generation = generation.number
            for change in changes {
                outcome.done[change.action, default: 0] += 1
                applier.progress(.finished(change.item, change.action))
            }
        }

        private func event(_ change: Change, failure: String? = nil) -> AuditEvent {
            AuditEvent(
                at: applier.now(), actor: generation.who, action: change.action.rawValue, item: change.item,
                failure: failure)
        }

        mutating func put(_ changes: [Change], of configuration: Configuration) throws {
            let mutations = changes.compactMap { change in
                change.declared.map {
                    StateMutation.putItem(change.item, owner: .file, record: configuration.record(of: $0))
                }
            }
            try commit(mutations + secrets(of: changes, in: configuration), changes)
        }

        /// Seals the secrets of changed issuers and edge certificates that stand in the file.
        private func secrets(of changes: [Change], in configuration: Configuration) throws -> [StateMutation] {
            let secrets = changes.flatMap { (change) -> [Secret] in
                switch change.declared?.place {
                case .issuer(let index): configuration.issuers[index].secrets
                case .edgeCertificate(let index): [configuration.edgeCertificates[index].apiToken]
                default: []
                }
            }
            return try applier.sealer.sealed(secrets)
        }

        /// Puts new items before what they take is done: who is killed meanwhile leaves what can be ended, or taken back.
        mutating func announce(_ changes: [Change], of configuration: Configuration) throws {
            let mutations = changes.compactMap { change in
                change.declared.map {
                    StateMutation.putItem(change.item, owner: .file, record: configuration.record(of: $0))
                }
            }
            try commit(mutations + secrets(of: changes, in: configuration), [])
        }

        /// Puts hosts, but for those that were given an own certificate which is not for them: such a host stays as it was.
        mutating func putHosts(_ changes: [Change], of configuration: Configuration) throws {
            var coverage = CertificateCoverage(store: applier.store)
            var covered: [Change] = []
            var failed: [CertificateWork.Event] = []
            for change in changes {
                if let failure = try coverage.failure(of: change, in: configuration) {
                    failed.append(.failed(change, failure))
                } else {
                    covered.append(change)
                }
            }
            try take(failed)
            try put(covered, of: configuration)
        }

        /// Takes items out. Certificates stay while something failed: it may be what was to take their place.
        mutating func delete(_ all: [Change], besides changed: [Change], of configuration: Configuration) throws {
            let changes = outcome.failures == 0 ? all : all.filter { $0.item.kind != .certificate }
            // Who is an issuer no more may still be asked to revoke.
            let dependent = changes.filter { $0.item.kind != .issuer && $0.item.kind != .gateway }
            try retire(dependent.filter { $0.retirement != nil }, of: configuration)
            let plain = dependent.filter { $0.retirement == nil }
            try commit(plain.map { .deleteItem($0.item) }, plain)
            guard outcome.failures == 0 else { return }
            let rest = changes.filter { $0.item.kind == .issuer || $0.item.kind == .gateway }
            // Where those changed that have secrets, some may be there no longer.
            let hasChangedSecrets = changed.contains { $0.item.kind == .issuer || $0.item.kind == .edgeCertificate }
            guard !rest.isEmpty || hasChangedSecrets else { return }
            try commit(
                rest.map { .deleteItem($0.item) } + [.keepSecrets(fingerprints: configuration.secretFingerprints)], rest
            )
        }

        /// Does what is to be done at providers, and takes out each item once that is done.
        private mutating func retire(_ changes: [Change], of configuration: Configuration) throws {
            for change in changes {
                guard let retirement = change.retirement else { continue }
                if case .deletePack(let pack) = retirement,
                    let heir = try applier.pendingHeir(of: pack, in: configuration)
                {
                    applier.progress(
                        .warning(change.item, "stays until '\(heir)' is active; the next apply deletes it"))
                    continue
                }
                applier.progress(.started(change.item, .delete))
                do throws(IssuanceFailure) {
                    try applier.carryOut(retirement, of: change.item)
                } catch {
                    try take([.failed(change, error)])
                    continue
                }
                try commit([.deleteItem(change.item)], [change])
            }
        }

        mutating func obtain(_ changes: [Change], of configuration: Configuration) throws {
            guard !changes.isEmpty else { return }
            let orders = changes.compactMap { change in
                change.declared.map { CertificateWork.Order(change: change, item: $0) }
            }
            let work = CertificateWork(
                tools: applier.tools, sources: applier.sources, configuration: configuration,
                users: configuration.certificateUsers)
            let places = Dictionary(configuration.issuers.map { ($0.name, $0.place) }) { $1 }
            try Workers(count: Applier.certificatesAtOnce).run(
                orders, at: { order in configuration.issuers(of: order.item).first.flatMap { places[$0] } ?? "" },
                work: work.carryOut
            ) { try take($0) }
        }

        /// Commits what has come of certificates since the last time: all that is ready goes in together.
        mutating func take(_ events: [CertificateWork.Event]) throws {
            var mutations: [StateMutation] = []
            var changes: [Change] = []
            var failed: [AuditEvent] = []
            var news: [ApplyProgress] = []
            var begun: [Change] = []
            for event in events {
                switch event {
                case .started(let change): begun.append(change)
                case .ready(let change, let certificate, let warnings):
                    mutations += certificate
                    changes.append(change)
                    news += warnings.map { .warning(change.item, $0) }
                case .failed(let change, let failure):
                    // A gateway tries again what comes from issuers, and must know when that is worth it.
                    if change.item.kind == .certificate, change.action != .upload {
                        try applier.store.noteFailure(failure, of: change.item.name, now: applier.now())
                    }
                    failed.append(self.event(change, failure: failure.reason))
                    news.append(.failed(change.item, change.action, failure))
                }
            }
            try commit(mutations, changes, failed: failed)
            news.forEach(applier.progress)
            // Of those that were begun and ended meanwhile only the end is news.
            let ended = Set(changes.map(\.item) + failed.map(\.item))
            for change in begun where !ended.contains(change.item) {
                applier.progress(.started(change.item, change.action))
            }
        }

        mutating func finish() throws -> ApplyOutcome {
            guard outcome.generation != nil || outcome.failures > 0 else { return outcome }
            var last = [StateMutation.prune(Retention())]
            if outcome.generation != nil {
                let end = outcome.failures == 0 ? Generation.Outcome.complete : .partial
                last.append(.closeGeneration(generation.number, end, summary: outcome.summary))
            }
            try applier.store.commit(last, by: applier.holder)
            return outcome
        }
    }
}

extension Configuration {
    /// The secrets that those who work from the state alone may need, by their fingerprints.
    fileprivate var secretFingerprints: [String] {
        (issuers.flatMap(\.secrets) + edgeCertificates.map(\.apiToken)).map(\.fingerprint)
    }

    /// The names that each certificate's hosts answer to.
    fileprivate var certificateUsers: [String: [DomainName]] {
        var users: [String: [DomainName]] = [:]
        for index in hosts.indices {
            if let certificate = hosts[index].certificate { users[certificate, default: []] += hosts[index].names }
        }
        return users
    }
}
