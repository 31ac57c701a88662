import ConfigModel
import Issuers
import Reconciler
import State

/// The edge certificates that earlier applies left open: their packs are not active yet, or their former packs are not
/// deleted yet.
struct OpenPacks {
    private let certificates: [EdgeCertificate]

    var isEmpty: Bool { certificates.isEmpty }
    var items: [ItemID] { certificates.map { ItemID(.edgeCertificate, $0.displayName) } }

    /// `changed` are items that the apply changes itself, and that are left out.
    init(of configuration: Configuration, in store: any StateStore, besides changed: Set<ItemID> = []) throws {
        let packs = Dictionary(grouping: try store.edgePacks(), by: \.certificate)
        certificates = configuration.edgeCertificates.filter { certificate in
            let name = certificate.displayName
            let isOpen = packs[name].map { $0.last?.isActive == false || $0.count > 1 } ?? false
            return isOpen && !changed.contains(ItemID(.edgeCertificate, name))
        }
    }

    /// Follows the packs and prints their status. Also deletes former packs, once the pack that replaces them is active.
    /// Returns how many packs failed.
    func follow(_ context: IssuanceContext, _ stop: StopRequest) throws -> Int {
        var failures = 0
        let report = ProgressReport(total: certificates.count)
        for certificate in certificates {
            let item = ItemID(.edgeCertificate, certificate.displayName)
            report.tell(.started(item, .order, at: certificate.baseURL.text))
        }
        let workers = ParallelWork(count: 8, stop: stop)
        let tellWaiting = { (queued: Int, waits: [(input: EdgeCertificate, reason: String)]) in
            let waits = waits.map { (ItemID(.edgeCertificate, $0.input.displayName), $0.reason) }
            report.tell(.stillWaiting(queued: queued, waits: Dictionary(waits) { $1 }))
        }
        try workers.run(certificates, stillWaiting: tellWaiting) { certificate, tell in
            let name = certificate.displayName
            do throws(IssuanceFailure) {
                let followed = try EdgePacks(context).follow(certificate, named: name, patience: certificate.wait)
                guard let pack = followed else { return tell((name, nil, "")) }
                tell((name, pack.isActive || pack.isPending ? nil : IssuanceFailure(pack.news), pack.news))
            } catch {
                tell((name, error, ""))
            }
        } receive: { (events: [(name: String, failure: IssuanceFailure?, news: String)]) in
            for event in events {
                report.end(ItemID(.edgeCertificate, event.name))
                if let failure = event.failure {
                    failures += 1
                    let hint = failure.hint.map { "  hint: \($0)\n" } ?? ""
                    Terminal.complain("  edge_certificate \(event.name): \(failure.reason)\n" + hint)
                } else if !event.news.isEmpty {
                    try? Terminal.print("Edge certificate \(event.name) \(event.news)\n")
                }
            }
        }
        report.finish()
        return failures
    }
}
