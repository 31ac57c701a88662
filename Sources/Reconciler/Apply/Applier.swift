import ConfigModel
import Issuers
import PKI
import State

/// Carries a plan out: what others depend on first, deletions last, each certificate committed as soon as it is had.
///
/// Killed at any instant, it leaves whole items: the next apply plans what is missing and goes on. A certificate that can't
/// be had does not stop the others, nor the hosts that use it: they are served with the fallback certificate.
public struct Applier {
    private let store: any StateStore
    private let holder: LeaseHolder
    private let sealer: Sealer
    private let sources: CertificateSources
    private let now: @Sendable () -> Int64
    private let progress: (ApplyProgress) -> Void

    /// An applier for somebody who holds the lease. `now` gives seconds since 1970; `progress` is told of each change.
    public init(
        store: any StateStore, holder: LeaseHolder, sealer: Sealer, sources: CertificateSources,
        now: @escaping @Sendable () -> Int64, progress: @escaping (ApplyProgress) -> Void
    ) {
        self.store = store
        self.holder = holder
        self.sealer = sealer
        self.sources = sources
        self.now = now
        self.progress = progress
    }

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
        var declared: [ItemID: DeclaredItem] = [:]
        let wanted = Set(plan.changes.map(\.item))
        configuration.forEachItem(materials: [:]) { if wanted.contains($0.id) { declared[$0.id] = $0 } }
        let hosts = configuration.hosts
        for index in hosts.indices {
            if let certificate = hosts[index].certificate { run.users[certificate, default: []] += hosts[index].names }
        }

        let early = plan.changes.filter {
            $0.action != .delete && ($0.item.kind == .gateway || $0.item.kind == .issuer)
        }
        try run.put(early, declared, of: configuration)
        for change in plan.changes where change.item.kind == .certificate && change.action != .delete {
            try run.obtain(change, declared[change.item], of: configuration)
        }
        for change in plan.changes where change.item.kind == .edgeCertificate && change.action != .delete {
            let failure = IssuanceFailure("edge certificates are not available in this version")
            try run.fail(change, failure)
        }
        let hostChanges = plan.changes.filter { $0.action != .delete && $0.item.kind == .host }
        try run.put(hostChanges, declared, of: configuration)
        try run.delete(plan.changes.filter { $0.action == .delete })
        return try run.finish()
    }

    private func generation(_ plan: Plan, _ origin: Origin) throws -> (Generation, sealedText: [UInt8]) {
        let number = plan.generation + 1
        let sealed = try sealer.seal(SecretBytes(origin.text), purpose: SealPurpose.generation, row: "\(number)")
        let generation = Generation(
            number: number, startedAt: now(), who: "\(holder.user)@\(holder.machine)", fileName: origin.fileName,
            directory: origin.directory, fileHash: Digest.sha256Text(origin.text), outcome: .unfinished, summary: "")
        return (generation, sealed)
    }
}

/// What sealed bytes are for: part of what they are bound to.
public enum SealPurpose {
    /// The private key of a certificate; the row is its name.
    public static let certificateKey = "certificate key"
    /// The text of a generation; the row is its number.
    public static let generation = "generation text"
}

extension Applier {
    /// One apply under way.
    private struct Run {
        let applier: Applier
        let generation: Generation
        /// What goes into the next commit besides its own.
        var pending: [StateMutation]
        var outcome = ApplyOutcome()
        /// The names that each certificate's hosts answer to.
        var users: [String: [DomainName]] = [:]

        /// Commits changes, and with the first of them the generation.
        private mutating func commit(_ mutations: [StateMutation], _ changes: [Change]) throws {
            guard !mutations.isEmpty else { return }
            let events = changes.map { StateMutation.appendEvent(event($0)) }
            try applier.store.commit(pending + mutations + events, by: applier.holder)
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

        mutating func put(
            _ changes: [Change], _ declared: [ItemID: DeclaredItem], of configuration: Configuration
        ) throws {
            let mutations = changes.compactMap { change in
                declared[change.item].map {
                    StateMutation.putItem(change.item, owner: .file, record: configuration.record(of: $0))
                }
            }
            try commit(mutations, changes)
        }

        /// Takes items out. Certificates stay while something failed: it may be what was to take their place.
        mutating func delete(_ all: [Change]) throws {
            let changes = outcome.failures == 0 ? all : all.filter { $0.item.kind != .certificate }
            try commit(changes.map { .deleteItem($0.item) }, changes)
        }

        mutating func obtain(_ change: Change, _ item: DeclaredItem?, of configuration: Configuration) throws {
            guard let item else { return }
            applier.progress(.started(change.item, change.action))
            let stored: StoredCertificate
            let warnings: [String]
            do {
                let (material, source, autoRenew) = try applier.sources.obtain(
                    configuration.value(of: item), for: users[item.id.name] ?? [], of: configuration)
                stored = try store(material, source, autoRenew, as: item.id, configuration.record(of: item))
                warnings = material.warnings
            } catch let failure as IssuanceFailure {
                return try fail(change, failure)
            }
            try commit([.putCertificate(stored)], [change])
            for warning in warnings { applier.progress(.warning(change.item, warning)) }
        }

        private func store(
            _ material: IssuedMaterial, _ source: CertificateFacts.Source, _ autoRenew: Bool, as item: ItemID,
            _ record: [UInt8]
        ) throws -> StoredCertificate {
            let leaf = material.chain.leaf
            let facts = CertificateFacts(
                domains: leaf.names.map(\.text), source: source, issuerCommonName: leaf.issuerCommonName ?? "",
                notBefore: leaf.notBefore, expiresAt: leaf.notAfter, autoRenew: autoRenew, createdAt: applier.now(),
                fingerprint: leaf.fingerprint, sourceDigest: material.sourceDigest)
            let key = try applier.sealer.seal(
                material.key.der(), purpose: SealPurpose.certificateKey, row: item.name)
            return StoredCertificate(
                name: item.name, owner: .file, record: record, facts: facts,
                chain: Array(material.chain.pem.utf8), sealedKey: key)
        }

        mutating func fail(_ change: Change, _ failure: IssuanceFailure) throws {
            outcome.failures += 1
            applier.progress(.failed(change.item, change.action, failure))
            try applier.store.commit(
                [.appendEvent(event(change, failure: failure.reason))], by: applier.holder)
        }

        mutating func finish() throws -> ApplyOutcome {
            guard outcome.generation != nil else { return outcome }
            let end = outcome.failures == 0 ? Generation.Outcome.complete : .partial
            let closing = StateMutation.closeGeneration(generation.number, end, summary: outcome.summary)
            try applier.store.commit([closing, .prune(Retention())], by: applier.holder)
            return outcome
        }
    }
}
