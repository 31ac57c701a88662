import ConfigModel
import State

/// Plans which stored and kept certificates are reused.
extension Planner {
    /// The part of a declaration that decides which certificate is issued: by which CA, for which names, with which
    /// key. The order of the names does not matter.
    private struct Order: Hashable {
        /// The issuer that is asked first.
        var issuer: String?
        var names: Set<String>
        var keyType: KeyType?
        var zoneID: String?
    }

    /// Whether a stored certificate still fits its changed declaration, so that none must be issued. This is so if only
    /// these have changed: automatic renewal, the order of the names, the issuers after the first, or a default that is
    /// now written in the file. If another name comes first, the next renewal makes it the common name.
    func isStillMeant(_ stored: StoredItem, by item: DeclaredItem) -> Bool {
        guard let order = order(of: item), order == formerOrder(of: stored.record) else {
            return false
        }
        var stored = stored
        stored.certificate?.autoRenew = configuration.renewsAutomatically(item)
        return refresh(of: item, stored) == nil
    }

    /// Whether a changed declaration asks for another certificate than the stored one, and not only for a renewal.
    func isAnotherOrder(_ item: DeclaredItem, than stored: StoredItem) -> Bool {
        order(of: item) != formerOrder(of: stored.record)
    }

    /// A clause for the plan: why an item's certificate is ordered although a certificate is kept.
    private func whyNotUsed(_ kept: StoredItem, as item: DeclaredItem) -> String {
        let causes =
            if let new = order(of: item), let old = formerOrder(of: kept.record), new != old {
                Self.differences(of: old, from: new)
            } else {
                [whyReissued(kept, as: item) ?? "it is of another kind"]
            }
        return "it is not used again: " + causes.joined(separator: ", ")
    }

    /// Why a certificate must be issued again although its order is the same, such as `it expires in 10 days`. Nil if
    /// it need not be.
    private func whyReissued(_ stored: StoredItem, as item: DeclaredItem) -> String? {
        var stored = stored
        stored.certificate?.autoRenew = configuration.renewsAutomatically(item)
        return refresh(of: item, stored)?.reason.map { $0.hasPrefix("its ") ? $0 : "it \($0)" }
    }

    private static func differences(of old: Order, from new: Order) -> [String] {
        let (missing, other) = (new.names.subtracting(old.names), old.names.subtracting(new.names))
        var causes: [String] = []
        if !missing.isEmpty { causes.append("it lacks \(list(missing))") }
        if !other.isEmpty { causes.append("it is also for \(list(other))") }
        if new.issuer != old.issuer { causes.append("it is from issuer '\(old.issuer ?? "")'") }
        if new.keyType != old.keyType { causes.append("its key is \(old.keyType?.rawValue ?? "of another type")") }
        if new.zoneID != old.zoneID { causes.append("it is of another zone") }
        return causes
    }

    private static func list(_ names: Set<String>) -> String {
        let shown = names.sorted().prefix(3)
        let more = names.count > shown.count ? " and \(names.count - shown.count) more" : ""
        return shown.joined(separator: ", ") + more
    }

    /// The order of a declaration in the state. A renamed issuer has its new name in the order.
    private func formerOrder(of record: [UInt8]) -> Order? {
        var order = Self.order(of: record, from: formerIssuer)
        if let issuer = order?.issuer { order?.issuer = renamedIssuers[issuer] ?? issuer }
        return order
    }

    private func order(of item: DeclaredItem) -> Order? {
        let issuer = { name in configuration.issuers.first { $0.name == name } }
        switch item.place {
        case .certificate(let index): return Self.order(of: configuration.certificates[index], from: issuer)
        case .hostCertificate(let index):
            return Self.order(of: HostCertificate(for: configuration.hosts[index]), from: issuer)
        default: return nil
        }
    }

    private static func order(of record: [UInt8], from issuer: (String) -> Issuer?) -> Order? {
        if let host = HostCertificate(record: record) { return order(of: host, from: issuer) }
        return NamedCertificate(record: record).flatMap { order(of: $0, from: issuer) }
    }

    private static func order(of certificate: HostCertificate, from issuer: (String) -> Issuer?) -> Order {
        let first = certificate.issuers.first
        return Order(
            issuer: first, names: Set(certificate.domains.map(\.text)),
            keyType: first.flatMap(issuer)?.settings.defaultKeyType)
    }

    private static func order(of certificate: NamedCertificate, from issuer: (String) -> Issuer?) -> Order? {
        guard case .issued(let issued) = certificate.source else { return nil }
        let defaults = issuer(issued.issuer)?.settings
        return Order(
            issuer: issued.issuer, names: Set(issued.domains.map(\.text)),
            keyType: issued.keyType ?? defaults?.defaultKeyType, zoneID: issued.zoneID ?? defaults?.zoneID)
    }

    // MARK: Reuse under another name

    /// Finds pairs of a certificate that would be issued, and a certificate that is kept or would be deleted and has
    /// the same order. Plans to reuse the second one under the name of the first one. Such a pair exists if an entry
    /// was renamed, if a host's own certificate replaces a named certificate, or if a declaration is again what it was
    /// before a change.
    func passOn(_ changes: inout [Change]) {
        let new = changes.indices.filter { index in
            let change = changes[index]
            guard change.item.kind == .certificate, change.action == .issue else { return false }
            guard change.exists else { return true }
            guard let declared = change.declared, let former = change.former else { return false }
            // After an order the replaced certificate is revoked. Reuse would not revoke it.
            return isAnotherOrder(declared, than: former) && !isRevokedWhenReplaced(former)
        }
        guard !new.isEmpty else { return }
        var going: [Order: [(item: StoredItem, name: String, index: Int?)]] = [:]
        // If several certificates fit the same order, the one that was kept last is used.
        let byAge = snapshot.kept.sorted {
            let ends = ($0.value.item.certificate?.expiresAt ?? 0, $1.value.item.certificate?.expiresAt ?? 0)
            return ($0.value.since, ends.0, $0.key) < ($1.value.since, ends.1, $1.key)
        }
        for (name, kept) in byAge where whyOver(kept) == nil {
            guard let order = formerOrder(of: kept.item.record) else { continue }
            going[order, default: []].append((kept.item, name, nil))
        }
        for index in changes.indices where changes[index].item.kind == .certificate && changes[index].action == .delete
        {
            guard let item = changes[index].former, let order = formerOrder(of: item.record) else { continue }
            going[order, default: []].append((item, changes[index].item.name, index))
        }
        guard !going.isEmpty else { return }
        for index in new {
            guard let declared = changes[index].declared, let order = order(of: declared) else { continue }
            guard let place = going[order]?.lastIndex(where: { isGood($0.item, as: declared) }),
                let former = going[order]?.remove(at: place)
            else {
                let names = configuration.names(of: declared)
                if changes[index].exists,
                    let (name, kept) = byAge.last(where: { canStandIn($0.key, $0.value) && $0.value.covers(names) })
                {
                    let words =
                        "'\(name)' was kept since \(UTCTime.text(kept.since)); \(whyNotUsed(kept.item, as: declared))"
                    changes[index].reason = (changes[index].reason.map { "\($0); " } ?? "") + words
                }
                continue
            }
            changes[index].predecessor = former.name
            if changes[index].exists {
                let since = snapshot.kept[former.name].map { "kept since \(UTCTime.text($0.since)), used again" }
                let words = since ?? "certificate '\(former.name)' has the same names, and becomes this one"
                changes[index].action = .update
                changes[index].reason = words + (changes[index].reason.map { "; \($0)" } ?? "")
            } else {
                changes[index].action = .create
                changes[index].fields = []
                changes[index].reason = "certificate '\(former.name)' has the same names, and becomes this one"
            }
            guard let place = former.index else { continue }
            changes[place].isPassedOn = true
            changes[place].isKept = false
            changes[place].retirement = nil
            changes[place].reason = "no longer in the file; it becomes '\(changes[index].item.name)'"
        }
    }

    /// Whether a stored certificate can be reused for a certificate that is declared under another name.
    private func isGood(_ stored: StoredItem, as item: DeclaredItem) -> Bool {
        guard let facts = stored.certificate, facts.source.isOrdered, facts.loss == nil, facts.expiresAt > now
        else { return false }
        var stored = stored
        stored.certificate?.autoRenew = configuration.renewsAutomatically(item)
        return refresh(of: item, stored) == nil
    }

    // MARK: Kept certificates

    /// Lets kept certificates stand in for certificates that will be issued. An order takes time and may fail, and
    /// clients need a valid certificate meanwhile. If a new certificate has the name of a kept certificate that does
    /// not stand in for it, the reason of the change says that it is no longer kept.
    func useKept(_ changes: inout [Change]) {
        guard !snapshot.kept.isEmpty else { return }
        let coming = changes.indices.filter {
            changes[$0].item.kind == .certificate && changes[$0].action != .delete && !changes[$0].isAtHand
        }
        let goingOn = Set(changes.compactMap(\.predecessor))
        let taken = Set(
            changes.filter { $0.item.kind == .certificate && $0.action != .delete }.map(\.item.name)
        ).union(goingOn)
        var others = KeptByDomain(snapshot.kept.filter { !taken.contains($0.key) && canStandIn($0.key, $0.value) })
        for index in coming {
            let name = changes[index].item.name
            let own = goingOn.contains(name) ? nil : snapshot.kept[name]
            if changes[index].action == .issue, !changes[index].exists, let declared = changes[index].declared {
                standIn(for: declared, &changes[index], own: own, &others)
            }
            guard let own, changes[index].standIn != name else { continue }
            let words = "the certificate kept since \(UTCTime.text(own.since)) is no longer kept"
            changes[index].reason = changes[index].reason.map { "\($0); \(words)" } ?? words
        }
    }

    private func standIn(
        for item: DeclaredItem, _ change: inout Change, own: KeptCertificate?, _ others: inout KeptByDomain
    ) {
        let names = configuration.names(of: item)
        let words = "it stands in until the new one is there, and is no longer kept"
        // The item's own kept certificate is better than the fallback certificate, even if the item now has more names.
        if let own, let facts = own.item.certificate, canStandIn(item.id.name, own),
            facts.uncovered(names).count < names.count
        {
            change.standIn = item.id.name
            change.exists = true
            change.former = own.item
            change.fields = difference(own.item.record, configuration.value(of: item))
            change.reason = "kept since \(UTCTime.text(own.since)); \(words); \(whyNotUsed(own.item, as: item))"
            return
        }
        guard let (name, kept) = others.removeFirst(for: names) else { return }
        change.standIn = name
        change.former = kept.item
        change.reason =
            "'\(name)' was kept since \(UTCTime.text(kept.since)); \(words); \(whyNotUsed(kept.item, as: item))"
    }

    private func canStandIn(_ name: String, _ kept: KeptCertificate) -> Bool {
        kept.item.certificate?.loss == nil && drift[ItemID(.certificate, name)] == nil && whyOver(kept) == nil
    }

    /// Deletions of the kept certificates whose time is over. A kept certificate that a new certificate of the same
    /// name replaces needs no deletion.
    func purges(besides changes: [Change]) -> [Change] {
        let over = snapshot.kept.compactMap { name, kept in whyOver(kept).map { (ItemID(.certificate, name), kept, $0) }
        }
        guard !over.isEmpty else { return [] }
        let coming = Set(changes.filter { $0.item.kind == .certificate && $0.action != .delete }.map(\.item))
        return over.filter { !coming.contains($0.0) }.sorted { $0.0 < $1.0 }.map { item, kept, reason in
            Change(
                action: .delete, item: item, exists: true, fields: [],
                reason: "kept since \(UTCTime.text(kept.since)), to be used if the file names it again; \(reason)",
                isPurged: true)
        }
    }

    /// Why a certificate is no longer kept; nil while it is kept.
    func whyOver(_ kept: KeptCertificate) -> String? {
        guard kept.end(retention: configuration.retention.components.seconds) <= now else { return nil }
        return kept.item.certificate.map { $0.expiresAt <= now } ?? false ? "it has expired" : "state.retention is over"
    }
}

/// Finds kept certificates by the names that they cover.
private struct KeptByDomain {
    private var certificates: [String: KeptCertificate]
    private var names: [String: [String]] = [:]

    init(_ certificates: [String: KeptCertificate]) {
        self.certificates = certificates
        for name in certificates.keys.sorted() {
            for domain in certificates[name]?.item.certificate?.domains ?? [] {
                names[domain, default: []].append(name)
            }
        }
    }

    /// Removes and returns the first certificate that covers all of these names; nil when none does.
    mutating func removeFirst(for all: [String]) -> (name: String, kept: KeptCertificate)? {
        guard let first = all.first else { return nil }
        let wildcard = first.firstIndex(of: ".").map { "*\(first[$0...])" } ?? first
        for name in [first, wildcard].flatMap({ names[$0] ?? [] }) {
            guard let kept = certificates[name], kept.item.certificate?.uncovered(all).isEmpty == true else { continue }
            certificates[name] = nil
            return (name, kept)
        }
        return nil
    }
}

extension KeptCertificate {
    fileprivate func covers(_ names: [String]) -> Bool { item.certificate?.uncovered(names).isEmpty == true }
}

extension Configuration {
    func renewsAutomatically(_ item: DeclaredItem) -> Bool {
        guard case .certificate(let index) = item.place else { return true }
        switch certificates[index].source {
        case .issued(let issued): return issued.autoRenew
        case .custom: return false
        }
    }
}

extension Change {
    /// Whether the change may take names of a host out of service, because it deletes the host, changes the aliases, or
    /// enables or disables the host.
    var mayLoseNames: Bool {
        item.kind == .host && exists
            && (action == .delete || fields.contains { $0.path == "enabled" || $0.path == "aliases" })
    }
}
