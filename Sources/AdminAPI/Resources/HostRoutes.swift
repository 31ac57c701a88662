import ConfigModel
import Gateway
import Issuers
import Reconciler
import State

/// The hosts as they are in force, and what is wrong with them.
enum HostRoutes {
    static let all: [Route] =
        [
            .reading(
                "/api/v1/hosts", "listHosts", "The hosts, sorted by domain", query: QueryParameter.page(),
                .page(of: form),
                list),
            .reading("/api/v1/hosts/{id}", "getHost", "A host", form, one),
        ] + HostChanges.all

    private static let form = JSONForm<HostView>.object(
        "Host", "A host that is served",
        [
            JSONMember("id", .text, "Its domain, which names it") { $0.name },
            JSONMember("owner", .word(["file", "api"]), "Who declares it: the file or the API") { $0.owner.rawValue },
            JSONMember("problem", .optional(.text), "What is wrong with it now; null when nothing is") {
                $0.status?.problem
            },
            JSONMember("warning", .optional(.text), "A future problem, unless somebody acts; null without one") {
                $0.status?.warning
            },
            JSONMember("served_certificate", .optional(.text), "The name of the certificate that it is served with") {
                $0.status?.certificate
            },
            JSONMember(
                "ssl_cert_id", .optional(.integer), "The number of its own certificate; null while there is none"
            ) {
                $0.certificateNumber.map { Int($0) }
            },
        ],
        others:
            "All settings of a host in the file, and hsts_enabled, hsts_max_age and so on for its HSTS policy. Values of headers that are set on the way to upstreams are not shown"
    ) { $0.settings }

    private static func list(_ call: Call) throws -> Page<HostView> {
        let limit = call.query.limit
        let found = try call.store.hosts(after: call.query.cursor?.parts[0], limit: limit + 1)
        let page = Page(found, limit, { $0 }, next: { Cursor($0.name) })
        return Page(items: try HostView.all(page.items, in: call.store, now: call.now), next: page.next)
    }

    private static func one(_ call: Call) throws -> HostView {
        let name = call.parameters["id"] ?? ""
        guard let item = try call.store.item(ItemID(.host, name)),
            let view = try HostView.all([(name, item)], in: call.store, now: call.now).first
        else { throw Problem(.notFound, "There is no host with this domain.") }
        return view
    }
}

struct HostView: Sendable {
    let name: String
    let owner: StoredItem.Owner
    let settings: [PlainValue.Entry]
    let status: HostStatus?
    /// The number of the host's own certificate.
    let certificateNumber: Int64?

    /// The hosts with their states, which depend only on them and on their certificates.
    static func all(_ items: [(name: String, item: StoredItem)], in store: any StateStore, now: Int64) throws
        -> [HostView]
    {
        var snapshot = StateSnapshot.empty
        var faults: [String: String] = [:]
        var numbers: [String: Int64] = [:]
        var chains = try ChainFaults(now: now, of: store)
        func add(_ numbered: NumberedCertificate) {
            let certificate = numbered.certificate
            snapshot.items[ItemID(.certificate, certificate.name)] = StoredItem(
                owner: certificate.owner, record: certificate.record, certificate: certificate.facts)
            faults[certificate.name] = chains.fault(of: certificate)
            numbers[certificate.name] = numbered.number
        }
        for (name, item) in items {
            snapshot.items[ItemID(.host, name)] = item
            guard let host = Host(record: item.record) else { continue }
            if let wanted = host.certificateName, let number = try store.number(ofCertificate: wanted),
                let own = try store.certificate(numbered: number)
            {
                add(own)
                continue
            }
            // Others that cover the names stand in for a certificate that is missing.
            for domain in host.names {
                var query = CertificateQuery()
                query.domain = domain.text
                try store.certificates(query).forEach(add)
            }
        }
        let statuses = HostStatus.all(in: snapshot, chainFaults: faults, now: now)
        let byName = Dictionary(statuses.map { ($0.name, $0) }) { first, _ in first }
        return items.map { name, item in
            let host = Host(record: item.record)
            return HostView(
                name: name, owner: item.owner, settings: host.map(HostBody.shown) ?? [], status: byName[name],
                certificateNumber: host?.certificateName.flatMap { numbers[$0] })
        }
    }
}
