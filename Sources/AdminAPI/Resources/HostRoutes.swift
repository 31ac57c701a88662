import ConfigModel
import Gateway
import Issuers
import Operations
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
            JSONMember(
                "certificate_failure", .optional(.text),
                "Why the last try to obtain or renew its certificate failed; null when it did not"
            ) { $0.failure?.reason },
            JSONMember(
                "next_try_at", .optional(.time), "When a gateway tries again after a failure; null when none does"
            ) { $0.failure?.nextTryAt },
        ],
        others:
            "All settings of a host in the file, and hsts_enabled, hsts_max_age and so on for its HSTS policy. Values of headers that are set on the way to upstreams are not shown"
    ) { $0.settings }

    private static func list(_ call: Call) throws -> Page<HostView> {
        let limit = call.query.limit
        let found = try call.store.hosts(after: call.query.cursor?.parts[0], limit: limit + 1)
        let page = Page(found, limit, { $0 }, next: { Cursor($0.name) })
        return Page(items: try page.items.map { try HostView($0.name, $0.item, call.context) }, next: page.next)
    }

    private static func one(_ call: Call) throws -> HostView { try find(call.context) }

    /// The host that the path names.
    static func find(_ context: RequestContext) throws -> HostView {
        let name = context.parameters["id"] ?? ""
        guard let item = try context.store.item(ItemID(.host, name)) else {
            throw Problem(.notFound, "There is no host with this domain.")
        }
        return try HostView(name, item, context)
    }
}

struct HostView: Sendable {
    let name: String
    let owner: StoredItem.Owner
    let settings: [PlainValue.Entry]
    let status: HostStatus?
    /// The number of the host's own certificate; nil while it has none.
    let certificateNumber: Int64?
    /// Nil unless the last try to obtain its certificate has failed.
    let failure: Failure?

    struct Failure: Sendable {
        let reason: String?
        /// In seconds since 1970; nil when nobody tries it again.
        let nextTryAt: Int64?
    }

    init(_ name: String, _ item: StoredItem, _ context: RequestContext) throws {
        let host = Host(record: item.record)
        self.name = name
        owner = item.owner
        settings = host.map(HostBody.shown) ?? []
        status = try context.dependencies.reports.host(name, of: context.store, now: context.now)
        let own = host?.certificateName
        certificateNumber = try own.flatMap { try context.store.number(ofCertificate: $0) }
        guard let own, let progress = try context.store.renewal(of: own), progress.failures > 0 else {
            failure = nil
            return
        }
        let next = try ManagedState(context.store, only: [own]).nextTry(of: own)
        failure = Failure(reason: progress.lastFailure, nextTryAt: next)
    }
}
