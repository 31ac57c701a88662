import ConfigModel
import Issuers
import State

/// Compares the file with the state. Pure: equal inputs give equal plans.
package struct Planner: Sendable {
    let configuration: Configuration
    let snapshot: StateSnapshot
    private let materials: [String: CertificateMaterial]
    private let localCA: [UInt8]?
    let drift: [ItemID: String]
    let now: Int64
    /// The new names of renamed issuers, by their former names. An issuer counts as renamed when the file has the same
    /// settings under a new name.
    let renamedIssuers: [String: String]
    /// The directory of each issuer's CA, in the form in which certificates record it. The key is the issuer's name.
    private let directories: [String: String]

    /// `materials` are the results of reading custom certificates, by the certificates' names. `localCA` is the digest
    /// of the local CA's certificate, if known. `drift` says why items are gone at their providers. `now` is in seconds
    /// since 1970.
    package init(
        _ configuration: Configuration, against snapshot: StateSnapshot,
        materials: [String: CertificateMaterial] = [:], localCA: [UInt8]? = nil,
        drift: [ItemID: String] = [:], now: Int64
    ) {
        self.drift = drift
        self.now = now
        self.localCA = localCA
        self.configuration = configuration
        self.snapshot = snapshot
        self.materials = materials
        renamedIssuers = Self.renamedIssuers(configuration, snapshot)
        directories = Dictionary(configuration.issuers.map { ($0.name, $0.provider.directory) }) { first, _ in first }
    }

    private static func renamedIssuers(_ configuration: Configuration, _ snapshot: StateSnapshot) -> [String: String] {
        let new = configuration.issuers.filter { snapshot.items[ItemID(.issuer, $0.name)] == nil }
        guard !new.isEmpty else { return [:] }
        let names = Dictionary(new.map { ($0.record(.compact).json(), $0.name) }) { first, _ in first }
        let declared = Set(configuration.issuers.map(\.name))
        return snapshot.items.reduce(into: [:]) { renamed, item in
            guard item.key.kind == .issuer, !declared.contains(item.key.name) else { return }
            renamed[item.key.name] = names[item.value.record]
        }
    }

    /// Compares all items of the file and the state.
    package func plan() -> Plan {
        var found = Comparison()
        configuration.forEachItemBeforeHosts(materials: materials) { compare($0, &found) }
        let parts = ParallelMap.of(configuration.hosts.indices) { part in
            var found = Comparison()
            for index in part { compare(configuration.declaredHost(index), &found) }
            return found
        }
        var changes = found.changes + parts.flatMap(\.changes)
        let known = parts.reduce(found.known) { $0 + $1.known }
        // With very many items the search takes long. It is skipped in the usual case, in which the file declares every
        // item of the state.
        let others = known == snapshot.items.count ? [:] : undeclared()
        let kept = itemsInUse(by: others)
        changes += deletions(of: others.filter { !kept.contains($0.key) }) + leftovers()
        passOn(&changes)
        useKept(&changes)
        markAdoptions(&changes)
        changes += purges(besides: changes)
        return Plan(
            generation: snapshot.generation, changes: changes,
            unmanaged: others.filter { $0.value.owner == .api || kept.contains($0.key) }.keys.sorted(),
            massDeletion: massDeletion(changes), conflicts: conflicts())
    }

    private func massDeletion(_ changes: [Change]) -> Plan.MassDeletion? {
        // Only these changes can take names out of service, so only their records are parsed.
        let former = changes.filter { $0.mayLoseNames && $0.former?.owner == .file }
        var names: Set<String> = []
        for host in former.compactMap({ $0.former.flatMap { Host(record: $0.record) } }) where host.enabled {
            names.formUnion(host.names.map(\.text))
        }
        var lost = names
        for host in configuration.hosts where host.enabled && !lost.isEmpty {
            for name in host.names { lost.remove(name.text) }
        }
        guard !lost.isEmpty else { return nil }
        let changed = Set(former.map(\.item))
        let unchanged = configuration.hosts.lazy.filter { host in
            let id = ItemID(.host, host.domain.text)
            return host.enabled && !changed.contains(id) && snapshot.items[id]?.owner == .file
        }
        return Plan.MassDeletion(lost: lost.count, of: unchanged.reduce(names.count) { $0 + 1 + $1.aliases.count })
    }

    /// The findings of one thread that compares some of the items.
    private struct Comparison: Sendable {
        var changes: [Change] = []
        /// How many of the compared items the state has.
        var known = 0
    }

    private func compare(_ item: DeclaredItem, _ found: inout Comparison) {
        let stored = snapshot.items[item.id]
        if stored != nil { found.known += 1 }
        guard var change = stored?.owner == .api ? adoption(of: item, stored) : change(for: item, stored) else {
            return
        }
        // The certificate of a disabled host is replaced when the host is enabled.
        if !item.isWanted, change.action == .issue { return }
        change.former = stored
        found.changes.append(change)
    }

    private func undeclared() -> [ItemID: StoredItem] {
        var others = snapshot.items
        configuration.forEachItem(materials: materials) { others[$0.id] = nil }
        return others
    }

    func change(for item: DeclaredItem, _ stored: StoredItem?) -> Change? {
        guard let stored else {
            guard item.isWanted else { return nil }
            if let kept = usable(item) {
                return Change(
                    action: .create, item: item.id, exists: false, fields: [],
                    reason: "kept since \(UTCTime.text(kept.since)), used again", declared: item, isKept: true)
            }
            // The first plan also shows the gateway's defaults, since operators want to know where it listens.
            let style = item.id.kind == .gateway ? RecordStyle.complete : .creation
            var fields = configuration.value(of: item).record(style).flattened().map {
                FieldChange(path: $0.path, before: .null, after: $0.value)
            }
            if item.unknown != nil {
                fields.append(FieldChange(path: "fingerprint", before: .null, after: .string("known after apply")))
            }
            return Change(
                action: item.creation, item: item.id, exists: false, fields: fields, reason: item.unknown,
                declared: item)
        }
        guard stored.record != configuration.record(of: item) else { return refresh(of: item, stored) }
        let fields = difference(stored.record, configuration.value(of: item))
        var change = Change(
            action: drift[item.id] == nil ? replacement(of: item, stored) : item.replacement, item: item.id,
            exists: true, fields: fields,
            reason: item.unknown ?? (fields.isEmpty ? "the same, recorded by another version" : nil), declared: item)
        if change.action == .issue, isAnotherOrder(item, than: stored), isKeptWhenReplaced(stored) {
            change.keepsFormer = true
            change.reason = "the certificate in force is kept until \(UTCTime.text(keptUntil(stored)))"
        }
        return change
    }

    /// The kept certificate of an item, if the item's declaration is as before and the certificate can still be used;
    /// else nil.
    private func usable(_ item: DeclaredItem) -> KeptCertificate? {
        guard item.id.kind == .certificate, let kept = snapshot.kept[item.id.name], let facts = kept.item.certificate,
            kept.item.record == configuration.record(of: item) || isStillMeant(kept.item, by: item),
            facts.loss == nil, whyOver(kept) == nil, refresh(of: item, kept.item) == nil
        else { return nil }
        return kept
    }

    /// The change of an item whose declaration is unchanged, but whose certificate must be replaced: it is gone at the
    /// provider, can't be used any more, comes from a former CA, is due for renewal, or has a new text. Nil if nothing
    /// is to be done.
    func refresh(of item: DeclaredItem, _ stored: StoredItem) -> Change? {
        if let reason = drift[item.id] {
            return Change(
                action: item.replacement, item: item.id, exists: true, fields: [], reason: reason, declared: item)
        }
        guard let facts = stored.certificate else { return nil }
        // If `auto_renew` is off, the certificate is not reissued; the command `status` shows why it can't be used.
        if let loss = facts.loss, facts.autoRenew, item.isWanted {
            return Change(
                action: item.replacement, item: item.id, exists: true, fields: [], reason: loss, declared: item)
        }
        if let digest = item.sourceDigest, digest != facts.sourceDigest {
            return Change(
                action: .upload, item: item.id, exists: true, fields: [], reason: "the certificate's text has changed",
                declared: item)
        }
        if let localCA, facts.source == .localCA, facts.sourceDigest != localCA {
            return Change(
                action: .issue, item: item.id, exists: true, fields: [], reason: "the local CA is another now",
                declared: item)
        }
        // A certificate is not reissued just because its directory is unknown.
        if !facts.directory.isEmpty, item.isWanted,
            !configuration.issuers(of: item).contains(where: { directories[$0] == facts.directory })
        {
            return Change(
                action: .issue, item: item.id, exists: true, fields: [],
                reason: "its issuer's directory is another now",
                declared: item)
        }
        guard facts.source != .custom, facts.autoRenew, item.isWanted, now >= renewalAt(of: item, facts) else {
            return nil
        }
        return Change(
            action: .renew, item: item.id, exists: true, fields: [],
            reason: Renewal.remaining(until: facts.expiresAt, at: now), declared: item)
    }

    /// The action for a changed declaration. Not every change needs a new certificate or pack.
    private func replacement(of item: DeclaredItem, _ stored: StoredItem) -> Action {
        guard case .edgeCertificate(let index) = item.place else {
            return isStillMeant(stored, by: item) ? .update : item.replacement
        }
        let before = EdgeCertificate(record: stored.record)
        return before?.isSameOrder(as: configuration.edgeCertificates[index]) == true ? .update : item.replacement
    }

    private func renewalAt(of item: DeclaredItem, _ facts: CertificateFacts) -> Int64 {
        let first = configuration.issuers(of: item).first
        let issuer = configuration.issuers.first { $0.name == first }
        // An apply does not wait for the next try, since the operator may have removed the cause of the failure.
        var progress = snapshot.renewals[item.id.name]
        progress?.nextTryAt = nil
        return facts.renewalAt(named: item.id.name, from: issuer, after: progress)
    }

    func difference<Value: Recorded>(_ record: [UInt8], _ value: Value) -> [FieldChange] {
        // If an older program's record can't be parsed, all fields are shown as new.
        FieldChange.difference(Value(record: record).map { ComparedValue($0) }, ComparedValue(value))
    }

    /// The items among `items` that the admin API owns, and all items that they depend on.
    func itemsInUse(by items: [ItemID: StoredItem]) -> Set<ItemID> {
        var found: Set<ItemID> = []
        var waiting = items.filter { $0.value.owner == .api }.map(\.key)
        while let id = waiting.popLast() {
            guard let item = items[id], found.insert(id).inserted else { continue }
            waiting += references(of: id, item.record)
        }
        return found
    }

    /// The items that an item refers to.
    private func references(of id: ItemID, _ record: [UInt8]) -> [ItemID] {
        switch id.kind {
        case .host:
            guard let host = Host(record: record) else { return [] }
            let identities = [host.clientAuth?.identity, host.upstreamTLS?.identity].compactMap(\.self)
            return (host.certificateName.map { [ItemID(.certificate, $0)] } ?? [])
                + host.effectiveIssuers.map { ItemID(.issuer, $0) } + identities.map { ItemID(.identity, $0) }
        case .certificate:
            guard case .issued(let issued)? = NamedCertificate(record: record)?.source else { return [] }
            return [ItemID(.issuer, issued.issuer)]
        case .issuer: return Issuer(record: record)?.settings.vaultName.map { [ItemID(.vault, $0)] } ?? []
        case .identity: return NamedIdentity(record: record)?.vaultName.map { [ItemID(.vault, $0)] } ?? []
        case .vault: return VaultServer(record: record)?.login.identity.map { [ItemID(.identity, $0)] } ?? []
        case .gateway, .node, .alerts, .edgeCertificate: return []
        }
    }

    private func deletions(of others: [ItemID: StoredItem]) -> [Change] {
        others.filter { $0.value.owner == .file }.sorted { $0.key > $1.key }.map { id, item in
            let retirement = retirement(of: id, item)
            let isKept = retirement == nil && isWorthKeeping(item)
            let remark =
                isKept ? "it is kept until \(UTCTime.text(keptUntil(item)))" : retirement?.words
            return Change(
                action: .delete, item: id, exists: true, fields: [],
                reason: "no longer in the file" + (remark.map { "; \($0)" } ?? ""), former: item,
                retirement: retirement, isKept: isKept)
        }
    }

    /// Whether the certificate can still be used, and a replacement would need an order at a CA. The local CA can issue
    /// another certificate at any time.
    private func isWorthKeeping(_ item: StoredItem) -> Bool {
        guard let facts = item.certificate else { return false }
        return facts.source.isOrdered && facts.loss == nil && keptUntil(item) > now
    }

    /// Whether a certificate is kept when another one replaces it. A certificate that is then revoked is not kept.
    private func isKeptWhenReplaced(_ item: StoredItem) -> Bool {
        guard isWorthKeeping(item) else { return false }
        guard case .issued(let issued)? = NamedCertificate(record: item.record)?.source else { return true }
        return issuer(named: issued.issuer)?.provider.revokesReplaced == false
    }

    /// Whether a certificate is revoked when another one replaces it.
    func isRevokedWhenReplaced(_ item: StoredItem) -> Bool {
        guard case .issued(let issued)? = NamedCertificate(record: item.record)?.source else { return false }
        return issuer(named: issued.issuer)?.provider.revokesReplaced == true
    }

    private func keptUntil(_ item: StoredItem) -> Int64 {
        KeptCertificate(item: item, since: now).end(retention: configuration.retention.components.seconds)
    }

    /// Deletions of certificates that were ordered but never obtained, and that the file no longer declares.
    private func leftovers() -> [Change] {
        let begun = snapshot.renewals.keys.filter { name in
            snapshot.items[ItemID(.certificate, name)] == nil && snapshot.items[ItemID(.host, name)] == nil
        }
        guard !begun.isEmpty else { return [] }
        var names = Set(begun.map { ItemID(.certificate, $0) })
        configuration.forEachItem(materials: materials) { names.remove($0.id) }
        return names.sorted().map {
            Change(
                action: .delete, item: $0, exists: true, fields: [],
                reason: "no longer in the file; its order never gave a certificate")
        }
    }

    private func retirement(of id: ItemID, _ item: StoredItem) -> Retirement? {
        switch id.kind {
        case .edgeCertificate:
            guard let certificate = EdgeCertificate(record: item.record), certificate.onRemoval == .delete else {
                return nil
            }
            return .deletePack(certificate)
        case .certificate:
            guard let source = item.certificate?.source.provider,
                case .issued(let issued)? = NamedCertificate(record: item.record)?.source,
                let issuer = issuer(named: issued.issuer), type(of: issuer.provider) == source,
                issuer.provider.revokesRemoved
            else { return nil }
            return .revoke(issuer)
        case .gateway, .vault, .identity, .issuer, .node, .alerts, .host: return nil
        }
    }

    /// The issuer in the file, else the issuer in the state, which this plan may delete.
    private func issuer(named name: String) -> Issuer? {
        configuration.issuers.first { $0.name == name } ?? formerIssuer(named: name)
    }

    func formerIssuer(named name: String) -> Issuer? {
        snapshot.items[ItemID(.issuer, name)].flatMap { Issuer(record: $0.record) }
    }
}
