import ConfigModel
import Issuers
import PKI
import State

extension Applier {
    /// How many certificates are obtained at once. More threads would only wait for each other or for the same CA.
    private static let certificatesAtOnce = 8

    /// One apply in progress.
    struct Run {
        let applier: Applier
        let generation: Generation
        let configuration: Configuration
        var hosts: HostSchedule
        let refused: [ItemID: IssuanceFailure]
        /// Mutations that store a reused certificate under its new name. The key is the item of the new name.
        let heirs: [ItemID: [StateMutation]]
        /// Mutations for the first commit, such as the one that adds the generation. Empty after that commit.
        var pending: [StateMutation]
        private var coverage: CertificateCoverage
        private var outcome = ApplyOutcome()
        /// The items whose changes are in force or have failed.
        private var ended: [ItemID] = []

        init(
            applier: Applier, generation: Generation, configuration: Configuration, hosts: HostSchedule,
            refused: [ItemID: IssuanceFailure], heirs: [ItemID: [StateMutation]], pending: [StateMutation]
        ) {
            self.applier = applier
            self.generation = generation
            self.configuration = configuration
            self.hosts = hosts
            self.refused = refused
            self.heirs = heirs
            self.pending = pending
            coverage = CertificateCoverage(store: applier.store)
        }

        /// The mutations of one commit, and the events to report after it.
        private struct Batch {
            var mutations: [StateMutation] = []
            var changes: [Change] = []
            var failed: [AuditEvent] = []
            var news: [ApplyProgress] = []
        }

        private mutating func commit(_ batch: Batch) throws {
            guard !batch.mutations.isEmpty || !batch.failed.isEmpty else { return }
            // A generation is recorded only if the apply changes something.
            let first = batch.mutations.isEmpty ? [] : pending
            let events = batch.changes.map { event($0) } + batch.failed
            try applier.store.commit(
                first + batch.mutations + events.map(StateMutation.appendEvent), by: applier.holder)
            outcome.failures += batch.failed.count
            ended += batch.failed.map(\.item)
            if !batch.mutations.isEmpty {
                pending = []
                outcome.generation = generation.number
            }
            for change in batch.changes {
                outcome.done[change.action, default: 0] += 1
                ended.append(change.item)
                applier.progress(.finished(change.item, change.action))
            }
            batch.news.forEach(applier.progress)
        }

        private func event(_ change: Change, failure: String? = nil) -> AuditEvent {
            AuditEvent(
                at: applier.now(), actor: generation.who, action: change.action.rawValue, item: change.item,
                failure: failure)
        }

        // MARK: Changes that need no certificate

        /// Commits the changes that need no certificate of this plan, and the early forms of hosts that wait for one.
        /// Also records the edge certificates that `orders` will order: if the process is killed after ordering, the
        /// next apply can follow or delete their packs.
        mutating func putFirst(
            _ changes: [Change], announcing orders: [Change], besides standIns: [StateMutation]
        ) throws {
            var batch = Batch()
            batch.mutations = standIns + puts(changes + orders) + (try secrets(of: changes + orders))
            batch.changes = changes
            try add(hosts.ready, to: &batch)
            for (change, host) in hosts.early
            where try refused[change.item] == nil && coverage.failure(of: change, in: configuration) == nil {
                batch.mutations.append(
                    .putItem(change.item, owner: .file, record: host.record(.compact).json()))
            }
            try commit(batch)
        }

        private func puts(_ changes: [Change]) -> [StateMutation] {
            changes.flatMap { change -> [StateMutation] in
                if let heir = heirs[change.item] { return heir }
                guard let declared = change.declared else {
                    return change.isPassedOn ? [.deleteItem(change.item)] : []
                }
                let record = configuration.record(of: declared)
                guard change.item.kind == .certificate else {
                    return [.putItem(change.item, owner: .file, record: record)]
                }
                let restored = change.isKept ? [StateMutation.restoreCertificate(name: change.item.name)] : []
                return restored + [
                    .redeclareCertificate(
                        name: change.item.name, owner: .file, record: record,
                        autoRenew: configuration.renewsAutomatically(declared))
                ]
            }
        }

        /// Seals the secrets of changed items, as far as the file itself contains them.
        private func secrets(of changes: [Change]) throws -> [StateMutation] {
            try applier.sealer.sealed(changes.compactMap(\.declared).flatMap(configuration.secrets))
        }

        /// Adds changed hosts to a batch. A host that is refused, or whose custom certificate does not cover it, stays
        /// unchanged and is reported as failed.
        private mutating func add(_ changes: [Change], to batch: inout Batch) throws {
            for change in changes {
                let refusal = change.action == .delete ? nil : refused[change.item]
                if let failure = try refusal ?? coverage.failure(of: change, in: configuration) {
                    batch.failed.append(event(change, failure: failure.reason))
                    batch.news.append(.failed(change.item, change.action, failure))
                    continue
                }
                batch.mutations += change.action == .delete ? [.deleteItem(change.item)] : puts([change])
                batch.changes.append(change)
            }
        }

        // MARK: Certificates

        mutating func obtain(_ changes: [Change]) throws {
            let orders = changes.compactMap { CertificateWork.Order($0, of: configuration) }
            let work = CertificateWork(
                context: applier.context, sources: applier.sources, configuration: configuration,
                users: configuration.certificateUsers)
            try carryOut(orders, isNeeded: \.cannotBeResumed, work.carryOut)
        }

        private mutating func carryOut(
            _ orders: [CertificateWork.Order], isNeeded: (CertificateWork.Order) -> Bool = { _ in false },
            _ work: @escaping @Sendable (CertificateWork.Order, (CertificateWork.Event) -> Void) -> Void
        ) throws {
            guard !orders.isEmpty, !applier.stop.isMade else { return }
            let progress = applier.progress
            try ParallelWork(count: Applier.certificatesAtOnce, stop: applier.stop).run(
                orders, at: \.caID, isNeeded: isNeeded,
                stillWaiting: { queued, waits in
                    let waits = waits.map { ($0.input.change.item, $0.reason) }
                    progress(.stillWaiting(queued: queued, waits: Dictionary(waits) { $1 }))
                },
                work: { order, tell in
                    tell(.started(order))
                    work(order, tell)
                },
                receive: { try commit($0) })
        }

        /// Commits the certificates that were obtained since the last call, with the hosts that waited for them, in one
        /// transaction.
        private mutating func commit(_ events: [CertificateWork.Event]) throws {
            var batch = Batch()
            var begun: [CertificateWork.Order] = []
            var settled: [String] = []
            for event in events {
                switch event {
                case .started(let order): begun.append(order)
                case .ready(let change, let mutations, let warnings):
                    batch.mutations += mutations
                    batch.changes.append(change)
                    batch.news += warnings.map { .warning(change.item, $0) }
                    coverage.learn(mutations)
                    if change.item.kind == .certificate { settled.append(change.item.name) }
                case .failed(let change, let failure):
                    // Gateways retry this certificate too. The state tells them when the next attempt is due.
                    if change.item.kind == .certificate, [.issue, .renew].contains(change.work) {
                        try applier.store.noteFailure(failure, of: change.item.name, now: applier.now())
                    }
                    batch.failed.append(self.event(change, failure: failure.reason))
                    batch.news.append(.failed(change.item, change.action, failure))
                    if change.item.kind == .certificate { settled.append(change.item.name) }
                }
            }
            // If a certificate was begun and ended since the last call, only its end is reported.
            let ended = Set(batch.changes.map(\.item) + batch.failed.map(\.item))
            for order in begun where !ended.contains(order.change.item) {
                batch.news.append(.started(order.change.item, order.change.action, at: order.caID))
            }
            for name in settled { try add(hosts.release(by: name), to: &batch) }
            let news = batch.mutations.isEmpty && batch.failed.isEmpty ? batch.news : []
            try commit(batch)
            news.forEach(applier.progress)
        }

        // MARK: Deletions

        /// Deletes items. If a change has failed, certificates in force are not deleted, since the failed change may
        /// have been meant to replace them. Issuers, and items that issuers depend on, are then left to the next apply
        /// too.
        mutating func delete(_ all: [Change], besides changed: [Change]) throws {
            let changes = outcome.failures == 0 ? all : all.filter { $0.item.kind != .certificate || $0.isPurged }
            // Revoking a certificate may need an issuer that the file no longer has, so issuers are deleted last, with the
            // items that they depend on.
            let dependent = changes.filter { $0.item.kind > .issuer }
            try commit(deletions(of: dependent.filter { $0.retirement == nil }))
            try retire(dependent.filter { $0.retirement != nil })
            guard outcome.failures == 0, !applier.stop.isMade else { return }
            var rest = deletions(of: changes.filter { $0.item.kind <= .issuer })
            // Changed and deleted items may no longer use a secret that the state stores.
            let mayFreeSecrets = (all + changed).contains {
                $0.item.kind.hasSecrets && ($0.action == .delete || !$0.fields.isEmpty)
            }
            guard !rest.mutations.isEmpty || mayFreeSecrets else { return }
            rest.mutations.append(.keepSecrets(fingerprints: configuration.secretFingerprints))
            try commit(rest)
        }

        private func deletions(of changes: [Change]) -> Batch {
            let since = applier.now()
            let mutations = changes.map { change -> StateMutation in
                if change.isPurged { return .purgeCertificate(name: change.item.name) }
                return change.isKept ? .keepCertificate(name: change.item.name, since: since) : .deleteItem(change.item)
            }
            return Batch(mutations: mutations, changes: changes)
        }

        /// Revokes certificates or deletes packs at providers, then deletes each item.
        private mutating func retire(_ changes: [Change]) throws {
            var orders: [CertificateWork.Order] = []
            for change in changes {
                if case .deletePack(let pack) = change.retirement,
                    let heir = try applier.store.pendingHeir(of: pack, in: configuration)
                {
                    applier.progress(
                        .warning(change.item, "stays until '\(heir)' is active; the next apply deletes it"))
                } else {
                    orders.append(CertificateWork.Order(retiring: change))
                }
            }
            let (context, sources) = (applier.context, applier.sources)
            try carryOut(orders) { order, tell in tell(order.change.retire(context, sources)) }
        }

        // MARK: Finishing

        mutating func finish(_ plan: Plan, failedBefore: Int) throws -> ApplyOutcome {
            if applier.stop.isMade {
                let ended = Set(ended)
                outcome.left = plan.changes.map(\.item).filter { !ended.contains($0) }
            }
            guard outcome.generation != nil || outcome.failures > 0 else { return outcome }
            let retention = Retention(certificateSeconds: configuration.retention.components.seconds)
            var last = [StateMutation.prune(retention, now: applier.now())]
            if outcome.generation != nil {
                let isComplete = outcome.failures + failedBefore == 0 && outcome.left.isEmpty
                last.append(
                    .closeGeneration(
                        generation.number, isComplete ? .complete : .partial, summary: outcome.summary))
            }
            try applier.store.commit(last, by: applier.holder)
            try forgetFailures(plan)
            return outcome
        }

        /// Deletes the recorded failures of certificates that need no order any more, because their declarations have
        /// changed.
        private func forgetFailures(_ plan: Plan) throws {
            let ordered = Set(plan.changes.filter { $0.item.kind == .certificate && !$0.isAtHand }.map(\.item.name))
            for change in plan.changes where change.isAtHand || change.changesHostCertificate {
                guard !ordered.contains(change.item.name) else { continue }
                try applier.store.forgetFailures(of: change.item.name)
            }
        }
    }
}

extension Change {
    /// Whether the change alters the names or the issuers of a host's own certificate.
    fileprivate var changesHostCertificate: Bool {
        item.kind == .host && exists && fields.contains { $0.path == "issuers" || $0.path == "aliases" }
    }

    /// Revokes the item's certificate or deletes its packs at the provider, if the change has a `Retirement`.
    fileprivate func retire(_ context: IssuanceContext, _ sources: CertificateSources) -> CertificateWork.Event {
        do throws(IssuanceFailure) {
            switch retirement {
            case .revoke(let issuer):
                let stored: StoredCertificate?
                do throws(StateError) {
                    stored = try context.store.certificate(named: item.name)
                } catch {
                    throw IssuanceFailure("\(error)")
                }
                if let stored { _ = try sources.revoke(stored, .cessationOfOperation, by: issuer) }
            case .deletePack(let certificate): try EdgePacks(context).delete(certificate, named: item.name)
            case nil: break
            }
            return .ready(self, [.deleteItem(item)], warnings: [])
        } catch {
            return .failed(self, error)
        }
    }
}

extension StateStore {
    /// The name of an edge certificate that has hosts in common with a deleted edge certificate and is not active yet;
    /// nil when there is none. After a renaming, the edge certificate under the new name is found.
    fileprivate func pendingHeir(of certificate: EdgeCertificate, in configuration: Configuration) throws -> String? {
        let heirs = configuration.edgeCertificates.filter {
            $0.zoneID == certificate.zoneID && !Set($0.hosts).isDisjoint(with: certificate.hosts)
        }
        guard !heirs.isEmpty else { return nil }
        let newest = Dictionary(try edgePacks().map { ($0.certificate, $0) }) { $1 }
        return heirs.map(\.displayName).first { newest[$0]?.isActive != true }
    }
}

extension ItemKind {
    /// Whether settings of the kind may have secrets.
    fileprivate var hasSecrets: Bool { [.vault, .issuer, .alerts, .edgeCertificate].contains(self) }
}

extension Configuration {
    /// The fingerprints of the secrets to keep in the state, for gateways and commands that do not read the file.
    fileprivate var secretFingerprints: [String] {
        var fingerprints: [String] = []
        forEachItemBeforeHosts(materials: [:]) { fingerprints += secrets(of: $0).map(\.fingerprint) }
        return fingerprints
    }

    /// The names of the hosts that use a certificate, by the certificate's name.
    fileprivate var certificateUsers: [String: [DomainName]] {
        var users: [String: [DomainName]] = [:]
        for index in hosts.indices {
            if let certificate = hosts[index].certificate { users[certificate, default: []] += hosts[index].names }
        }
        return users
    }
}
