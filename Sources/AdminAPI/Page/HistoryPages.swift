import ConfigModel
import Gateway
import Operations
import State

/// The pages with the events, and with the renewals that are due next.
enum HistoryPages {
    static let routes: [PageRoute] = [.get("/events", events), .get("/renewals", renewals)]

    private static let rowsAPage = 100

    private static func events(_ call: PageCall) throws -> AdminResponse {
        var query = EventQuery()
        query.isNewestFirst = true
        query.limit = rowsAPage + 1
        query.before = call.query("before").flatMap { Int64($0) } ?? .max
        let found = try call.store.events(query)
        let shown = Array(found.prefix(rowsAPage))
        let older: HTML? =
            found.count > rowsAPage
            ? shown.last.map { "<p><a href=\"/events?before=\($0.number)\">Older events</a></p>" } : nil
        return call.page("Events", "<h1>Events</h1>\n\(try PageParts.events(shown, in: call.store))\n\(older)")
    }

    /// A link to a certificate. One that was never issued has no page yet, so the link leads to the host of the same
    /// name, if there is one.
    private static func certificate(_ name: String, in store: any StateStore) throws -> HTML {
        let number = try store.number(ofCertificate: name)
        guard try number == nil && store.item(ItemID(.host, name)) != nil else {
            return PageParts.certificateLink(name, number)
        }
        return "<a href=\"/hosts/\(name)\">\(name)</a>"
    }

    private static func renewals(_ call: PageCall) throws -> AdminResponse {
        let due = try call.dependencies.reports.calendar(of: call.store)
        let rows = try due.prefix(rowsAPage).map { date -> [HTML] in
            [
                try certificate(date.name, in: call.store),
                date.dueAt <= call.now ? PageParts.mark("warning", "due now") : PageParts.time(date.dueAt),
                date.facts.map { PageParts.life(from: $0.notBefore, to: $0.expiresAt, now: call.now) }
                    ?? "not there yet",
                date.progress?.lastFailure.map { "\(PageParts.mark("bad", "failed")) \($0)" } ?? "",
            ]
        }
        let rest: HTML? =
            due.count > rowsAPage ? "<p>The next \(rowsAPage) of \(due.count) renewals.</p>" : nil
        return call.page(
            "Renewals",
            """
            <h1>Renewals</h1>
            \(PageParts.table("Renewals, the next first", ["Certificate", "Due", "Expires", "Last try"], rows))
            \(rest)
            """)
    }
}
