import ConfigModel
import Gateway
import Operations
import Reconciler
import State

/// The first page: the problems, all hosts with their certificates, and the gateways.
enum OverviewPage {
    static let routes: [PageRoute] = [.get("/", answer)]

    private static let rowsAPage = 100
    private static let mostProblems = 50
    private static let latestEvents = 10

    private static func answer(_ call: PageCall) throws -> AdminResponse {
        let report = try call.dependencies.reports.report(
            of: call.store, machine: SystemName.machine, now: call.now)
        return call.page(
            "Overview",
            """
            <h1>Overview</h1>
            \(PageParts.done(call))
            \(problems(report))
            \(try hosts(report, Filter(call), call))
            \(try otherCertificates(report, Filter(call), call))
            \(gateways(report, call))
            <section>\(try PageParts.latestEvents(latestEvents, in: call.store))</section>
            """)
    }

    private static func problems(_ report: StatusReport) -> HTML {
        let problems = report.problems
        guard !problems.isEmpty else {
            return
                "<p role=\"status\" data-live=\"problems\">\(PageParts.mark("good", "Good")) Nothing needs you now.</p>"
        }
        let lines = problems.prefix(mostProblems).map { item, problem -> HTML in
            "<li>\(PageParts.mark("bad", "Problem")) <strong>\(item)</strong>: \(problem)</li>\n"
        }
        let rest: HTML? =
            problems.count > mostProblems ? "<p>… and \(problems.count - mostProblems) more.</p>" : nil
        return """
            <section aria-label="What needs you" data-live="problems"><ul class="problems">
            \(lines)</ul>\(rest)</section>
            """
    }

    // MARK: Hosts

    private enum Order: String, CaseIterable {
        case name, expiry
    }

    /// Which hosts and certificates are shown.
    private struct Filter {
        /// Empty for all.
        let search: String
        let isForTrouble: Bool

        init(_ call: PageCall) {
            search = call.query("search") ?? ""
            isForTrouble = call.query("troubled") != nil
        }

        /// Whether an item that has these names is shown: one of them contains the search, and the item has a problem if
        /// only such items are wanted.
        func shows(_ names: [String], isGood: Bool) -> Bool {
            let word = search.lowercased()
            return !(isForTrouble && isGood) && (word.isEmpty || names.contains { $0.lowercased().contains(word) })
        }
    }

    private static func hosts(_ report: StatusReport, _ filter: Filter, _ call: PageCall) throws -> HTML {
        let order = call.query("sort").flatMap(Order.init) ?? .name
        let page = max(1, call.query("page").flatMap { Int($0) } ?? 1)
        var found = report.hosts.filter { host in
            filter.shows([host.name] + host.aliases.map(\.text), isGood: host.problem == nil && host.warning == nil)
        }
        if order == .expiry {
            found.sort { ($0.expiresAt ?? .max, $0.name) < ($1.expiresAt ?? .max, $1.name) }
        }
        let rows = try found.dropFirst((page - 1) * rowsAPage).prefix(rowsAPage).map { try row($0, report, call) }
        let sorts = Order.allCases.map { each -> HTML in
            let selected: HTML? = each == order ? " selected" : nil
            return "<option\(selected)>\(each.rawValue)</option>"
        }
        let checked: HTML? = filter.isForTrouble ? " checked" : nil
        let add: HTML? = call.mayChange ? "<p><a href=\"/add/host\">Add a host</a></p>" : nil
        return """
            <section>
            <form method="get" action="/" role="search">
            <label>Search <input type="search" name="search" value="\(filter.search)"></label>
            <label>Sort by <select name="sort">\(sorts)</select></label>
            <label><input type="checkbox" name="troubled" value="yes"\(checked)> only with trouble</label>
            <button>Show</button></form>
            \(PageParts.table("Hosts (\(found.count))", ["Host", "State", "Certificate", "Issuer", "Expires", "Owner"], rows))
            \(pages(found.count, page, call))\(add)
            </section>
            """
    }

    private static func row(_ host: HostStatus, _ report: StatusReport, _ call: PageCall) throws -> [HTML] {
        let number = try host.certificate.flatMap { try call.store.number(ofCertificate: $0) }
        let facts = host.certificate.flatMap { report.snapshot.items[ItemID(.certificate, $0)]?.certificate }
        let owner = report.snapshot.items[ItemID(.host, host.name)]?.owner ?? .file
        return [
            "<a href=\"/hosts/\(host.name)\">\(host.name)</a>", HostPages.state(host),
            host.certificate.map { PageParts.certificateLink($0, number) } ?? "fallback", "\(host.issuer ?? "")",
            host.expiresAt.map { PageParts.life(from: facts?.notBefore, to: $0, now: call.now) } ?? "",
            "\(owner.rawValue)",
        ]
    }

    /// Links to the parts of a long list.
    private static func pages(_ count: Int, _ page: Int, _ call: PageCall) -> HTML? {
        guard count > rowsAPage else { return nil }
        let kept = call.query.filter { $0.name != "page" }.map { "\($0.name)=\(Self.encoded($0.value))&" }.joined()
        let before: HTML? = page > 1 ? "<a href=\"/?\(kept)page=\(page - 1)\">Back</a>" : nil
        let after: HTML? = page * rowsAPage < count ? "<a href=\"/?\(kept)page=\(page + 1)\">Next</a>" : nil
        return "<p>\(before) Page \(page) of \((count + rowsAPage - 1) / rowsAPage) \(after)</p>"
    }

    private static func encoded(_ text: String) -> String {
        text.utf8.map { byte in
            RequestPath.isUnreserved(byte)
                ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }.joined()
    }

    // MARK: The rest

    /// The certificates that are no host's own.
    private static func otherCertificates(_ report: StatusReport, _ filter: Filter, _ call: PageCall) throws -> HTML {
        let used = Set(report.hosts.compactMap(\.ownCertificate))
        let others = report.snapshot.items.filter { id, item in
            guard let facts = item.certificate, !used.contains(id.name) else { return false }
            return filter.shows([id.name] + facts.domains, isGood: report.conditions[id.name] == nil)
        }.sorted { $0.key < $1.key }
        let rows = try others.prefix(rowsAPage).compactMap { id, item -> [HTML]? in
            guard let facts = item.certificate else { return nil }
            return [
                PageParts.certificateLink(id.name, try call.store.number(ofCertificate: id.name)),
                CertificatePages.state(report.conditions[id.name]),
                "\(facts.domains.prefix(5).joined(separator: ", "))", "\(facts.issuerCommonName)",
                PageParts.life(from: facts.notBefore, to: facts.expiresAt, now: call.now), "\(item.owner.rawValue)",
            ]
        }
        let table: HTML? =
            rows.isEmpty
            ? nil
            : PageParts.table(
                "Certificates without a host (\(others.count))",
                ["Certificate", "State", "Names", "Issuer", "Expires", "Owner"],
                rows)
        let add: HTML? =
            call.mayChange
            ? """
            <p><a href="/add/certificate">Upload a certificate</a>, or order one of Cloudflare's
            <a href="/add/origin">Origin CA</a> or <a href="/add/edge">edge</a></p>
            """ : nil
        return "<section>\(table)\(add)</section>"
    }

    private static func gateways(_ report: StatusReport, _ call: PageCall) -> HTML {
        let rows = report.gateways.alive.map { node -> [HTML] in
            let isCurrent = report.gateways.isUpToDate(node)
            return [
                "\(node.machine)", "\(node.version)", "\(node.phase.rawValue)",
                "\(node.position.generation) \(PageParts.mark(isCurrent ? "good" : "warning", isCurrent ? "newest" : "older"))",
                PageParts.time(node.startedAt), "\(node.lastProblem ?? "")",
            ]
        }
        return """
            <section>\(PageParts.table(
                "Gateways", ["Machine", "Version", "Phase", "Generation", "Running since", "Problem"], rows))</section>
            """
    }
}
