import Cloudflare
import ConfigModel
import PKI
import State

/// Orders, checks and deletes certificate packs of Cloudflare's edge.
///
/// Before a pack is ordered, the state's journal stores the order and the ids of the zone's packs. If the answer is
/// lost, the next try compares the ids to find the new pack. If the declaration changes, a new pack is ordered, and the
/// old pack is deleted after the new one is active.
package struct EdgePacks: Sendable {
    let context: IssuanceContext

    package init(_ context: IssuanceContext) { self.context = context }

    /// How long to wait for another process that holds the lease, in seconds.
    private static let patienceSeconds: Int64 = 60

    /// Orders a pack if it is not ordered yet, and waits until it is active, but at most for the declared `wait`.
    ///
    /// Returns the pack as Cloudflare last showed it.
    package func order(_ certificate: EdgeCertificate, named name: String) throws(IssuanceFailure) -> EdgePack {
        try exclusively(name, certificate) { work in
            let (pack, oddities) = try work.ordered()
            return try work.wait(for: pack).noting(oddities)
        }
    }

    /// Orders a pack that no edge certificate of the state declares, such as one that a request to the admin API
    /// describes. `name` is the name of the order in the journal. If an earlier call with this name began the order,
    /// this call continues it.
    ///
    /// The caller must commit `endEdgeOrder`, together with anything that it stores about the pack, and then release
    /// the lease.
    package func orderOnce(
        _ certificate: EdgeCertificate, named name: String
    ) throws(IssuanceFailure) -> (pack: EdgePack, lease: LeaseKeeper) {
        do {
            let keeper = try takeLease(name)
            do {
                return (try work(name, certificate, keeper.holder).ordered().pack, keeper)
            } catch {
                keeper.release()
                throw error
            }
        } catch {
            throw IssuanceFailure(of: error, now: context.now())
        }
    }

    /// The status of a pack, in Cloudflare's words.
    package func status(of id: String, by certificate: EdgeCertificate) throws(IssuanceFailure) -> String {
        do {
            return try CloudflareClient(certificate, secrets: context.secrets, patience: context.patience)
                .pack(id, inZone: certificate.zoneID).status
        } catch {
            throw IssuanceFailure(of: error, now: context.now())
        }
    }

    private func work(
        _ name: String, _ certificate: EdgeCertificate, _ holder: LeaseHolder
    ) throws(IssuanceFailure) -> EdgePackWork {
        EdgePackWork(
            name: name, certificate: certificate,
            client: try CloudflareClient(certificate, secrets: context.secrets, patience: context.patience),
            store: context.store, holder: holder,
            now: context.now)
    }

    /// Reads the ordered pack and waits until it is active, but at most for `patience`. Returns nil if the declared
    /// pack was not ordered.
    package func follow(
        _ certificate: EdgeCertificate, named name: String, patience: Duration = .zero
    ) throws(IssuanceFailure) -> EdgePack? {
        try exclusively(name, certificate) { work in
            guard let pack = try work.newest, pack.id != nil, pack.order == work.order.text else { return nil }
            return try work.wait(for: work.looked(at: pack), patience: patience)
        }
    }

    package func delete(_ certificate: EdgeCertificate, named name: String) throws(IssuanceFailure) {
        try exclusively(name, certificate) { work in
            for pack in try work.packs() { try work.delete(pack) }
        }
    }

    /// Runs `body` while this process holds the edge certificate's lease.
    private func exclusively<Result>(
        _ name: String, _ certificate: EdgeCertificate, _ body: (EdgePackWork) throws -> Result
    ) throws(IssuanceFailure) -> Result {
        do {
            let keeper = try takeLease(name)
            defer { keeper.release() }
            return try body(work(name, certificate, keeper.holder))
        } catch {
            throw IssuanceFailure(of: error, now: context.now())
        }
    }

    private func takeLease(_ name: String) throws -> LeaseKeeper {
        let end = context.now() + Self.patienceSeconds
        while true {
            do {
                return try LeaseKeeper(.edgeCertificate(name), in: context.store)
            } catch let held as LeaseKeeper.Held where context.now() >= end {
                let other = held.lease.holder
                throw IssuanceFailure("process \(other.process) on \(other.machine) looks after it")
            } catch is LeaseKeeper.Held {
                Pause.wait(.milliseconds(250))
            }
        }
    }
}

/// The work on one edge certificate. The process must hold its lease.
struct EdgePackWork {
    let name: String
    let certificate: EdgeCertificate
    let client: CloudflareClient
    let store: any StateStore
    let holder: LeaseHolder
    let now: @Sendable () -> Int64

    private static let firstPause = Duration.milliseconds(250)
    private static let longestPause = Duration.seconds(5)

    var order: CertificatePackOrder { CertificatePackOrder(certificate) }

    /// The packs of this edge certificate in the journal, the oldest first.
    func packs() throws(StateError) -> [EdgePack] { try store.edgePacks().filter { $0.certificate == name } }

    var newest: EdgePack? {
        get throws(StateError) { try packs().last }
    }

    /// Returns the declared pack as Cloudflare shows it now. If it is not ordered yet, orders it. `oddities` has a line
    /// for each list element that can't be read.
    func ordered() throws -> (pack: EdgePack, oddities: [String]) {
        guard let pack = try newest, pack.order == order.text, pack.zone == certificate.zoneID else {
            return try placedAnew()
        }
        guard pack.id != nil else {
            let (found, oddities) = try found(pack)
            return (try found ?? place(pack), oddities)
        }
        let seen = try looked(at: pack)
        switch PackStatus(seen.status) {
        case .pending, .active, .validationTimedOut: return (seen, [])
        // The old pack stays in the journal until the new pack is active.
        case .dead, .gone: return try placedAnew()
        }
    }

    private func placedAnew() throws -> (pack: EdgePack, oddities: [String]) {
        let (former, oddities) = try client.packs(inZone: certificate.zoneID)
        return (try place(begin(former)), oddities)
    }

    /// Stores a new order in the journal, before Cloudflare is called.
    private func begin(_ former: [CertificatePack]) throws -> EdgePack {
        let time = now()
        return try store.putEdgePack(
            EdgePack(
                certificate: name, zone: certificate.zoneID, order: order.text,
                formerIDs: former.map(\.id), orderedAt: time, checkedAt: time,
                since: time), by: holder)
    }

    private func place(_ pack: EdgePack) throws -> EdgePack {
        let ordered: CertificatePack
        let known = try knownIDs(besides: pack)
        do throws(CloudflareError) {
            ordered = try client.order(order, inZone: pack.zone) { !known.contains($0.id) }
        } catch  where error.mayBeDone {
            guard let found = try? found(pack).pack else {
                throw IssuanceFailure(
                    "\(error); it may have been ordered all the same",
                    hint: "the next apply looks for it before it orders again")
            }
            return found
        } catch {
            // Nothing was ordered: Cloudflare refused the call or can't have received it.
            try store.deleteEdgePack(pack, by: holder)
            throw error
        }
        return try store.putEdgePack(pack.seen(ordered, at: now()), by: holder)
    }

    /// Finds the pack of an order whose answer was lost. It has the order's names, did not exist before, and belongs to
    /// no other order. Returns nil if there is no such pack.
    private func found(_ pack: EdgePack) throws -> (pack: EdgePack?, oddities: [String]) {
        let known = try knownIDs(besides: pack)
        guard let order = CertificatePackOrder(text: pack.order) else { return (nil, []) }
        let search = try client.pack(
            of: order, inZone: pack.zone, where: { !known.contains($0.id) && PackStatus($0.status) != .gone })
        let found = try search.found.map { try store.putEdgePack(pack.seen($0, at: now()), by: holder) }
        return (found, search.oddities)
    }

    /// The ids of packs that existed before this order or belong to other orders.
    private func knownIDs(besides pack: EdgePack) throws(StateError) -> Set<String> {
        Set(try store.edgePacks().compactMap(\.id)).union(pack.formerIDs)
    }

    /// Reads the pack from Cloudflare. If its validation timed out, restarts the validation.
    func looked(at pack: EdgePack) throws -> EdgePack {
        guard let id = pack.id else { return pack }
        let seen = try shown(id, of: pack)
        guard PackStatus(seen.status) == .validationTimedOut else { return try store.putEdgePack(seen, by: holder) }
        let restarted = try client.restartValidation(of: id, inZone: pack.zone)
        return try store.putEdgePack(seen.seen(restarted, at: now()), by: holder)
    }

    private func shown(_ id: String, of pack: EdgePack) throws(CloudflareError) -> EdgePack {
        do throws(CloudflareError) {
            return pack.seen(try client.pack(id, inZone: pack.zone), at: now())
        } catch  where error.isGone {
            return pack.gone(at: now())
        }
    }

    /// Waits until the pack is no longer pending or the time is over. If the pack is active, deletes the former packs.
    func wait(for pack: EdgePack, patience: Duration? = nil) throws -> EdgePack {
        let end = ContinuousClock.now + (patience ?? certificate.wait)
        var pack = pack
        var pause = Self.firstPause
        while pack.isPending, ContinuousClock.now < end {
            Pause.wait(min(pause, end - .now))
            pause = min(pause * 2, Self.longestPause)
            do {
                pack = try looked(at: pack)
            } catch let error as CloudflareError {
                // The pack is ordered, even if reading it fails now. So the error becomes only a note.
                return pack.noting(["it can't be looked at now: \(error)"])
            }
        }
        guard pack.isActive else { return pack }
        for former in try packs() where former.number != pack.number {
            do {
                try delete(former)
            } catch let error as CloudflareError {
                // The new pack is active, even if deleting the former pack fails now. So the error becomes only a note.
                return pack.noting(["the former one is not deleted yet: \(error)"])
            }
        }
        return pack
    }

    /// Deletes a pack at Cloudflare, and then in the journal.
    func delete(_ pack: EdgePack) throws {
        if let id = try pack.id ?? found(pack).pack?.id { try client.deletePack(id, inZone: pack.zone) }
        try store.deleteEdgePack(pack, by: holder)
    }
}

extension CertificatePackOrder {
    init(_ certificate: EdgeCertificate) {
        self.init(
            hosts: certificate.hosts.map(\.text), authority: certificate.authority.rawValue,
            validation: certificate.validation.rawValue, validityDays: certificate.validityDays,
            hasBranding: certificate.cloudflareBranding)
    }
}

extension EdgePack {
    /// The pack with the status that Cloudflare shows now.
    fileprivate func seen(_ pack: CertificatePack, at now: Int64) -> EdgePack {
        var seen = self
        if status != pack.status { seen.since = now }
        seen.id = pack.id
        seen.status = pack.status
        seen.expiresAt = pack.expiresAt
        let isUnderWay = PackStatus(pack.status) == .pending || PackStatus(pack.status) == .validationTimedOut
        seen.notes = (isUnderWay ? pack.validation : []) + pack.problems
        seen.checkedAt = now
        return seen
    }

    /// The pack with additional notes for this report. The notes are not stored.
    fileprivate func noting(_ lines: [String]) -> EdgePack {
        var noting = self
        noting.notes += lines
        return noting
    }

    fileprivate func gone(at now: Int64) -> EdgePack {
        var gone = self
        if status != Self.goneStatus { gone.since = now }
        gone.status = Self.goneStatus
        gone.checkedAt = now
        return gone
    }
}
