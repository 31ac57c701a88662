import Gateway
import Operations
import State

/// Pieces that several pages have.
enum PageParts {
    /// How much of a certificate's life is left, in words and as a bar.
    static func life(from notBefore: Int64?, to end: Int64, now: Int64) -> HTML {
        let left = TimeLeft.text(until: end, from: now)
        guard let notBefore, notBefore < end else { return "\(left)" }
        let share = min(100, max(0, (end - now) * 100 / (end - notBefore)))
        return """
            <time datetime="\(UTCTime.rfc3339(end))">\(left)</time>
            <svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
            <rect class="all" width="100" height="6"></rect><rect class="left \(urgency(share))" width="\(share)" \
            height="6"></rect></svg>
            """
    }

    /// Certificates are renewed when a third of their life is left, so a smaller share is a warning.
    private static func urgency(_ share: Int64) -> String { share < 10 ? "bad" : share < 33 ? "warning" : "good" }

    static func time(_ seconds: Int64) -> HTML {
        "<time datetime=\"\(UTCTime.rfc3339(seconds))\">\(UTCTime.text(seconds))</time>"
    }

    /// A word for a state, with its colour: `good`, `warning`, `bad` or `off`.
    static func mark(_ kind: String, _ word: String) -> HTML { "<span class=\"mark \(kind)\">\(word)</span>" }

    static func table(_ caption: String, _ columns: [String], _ rows: [[HTML]]) -> HTML {
        let head = columns.map { column -> HTML in "<th scope=\"col\">\(column)</th>" }
        let body = rows.map { cells -> HTML in
            let cells = zip(columns, cells).map { column, cell -> HTML in
                "<td data-label=\"\(column)\"><div>\(cell.withBreaks)</div></td>"
            }
            return "<tr>\(cells)</tr>\n"
        }
        return """
            <table data-live="\(String(caption.prefix { $0 != "(" }))"><caption>\(caption)</caption>
            <thead><tr>\(head)</tr></thead>
            <tbody>
            \(body)</tbody></table>
            """
    }

    /// Names and values, one beneath another. Those without a value are left out. `name` names the list for the script.
    static func facts(_ entries: [(name: String, value: HTML?)], as name: String = "facts") -> HTML {
        let lines = entries.compactMap { name, value in
            value.map { value -> HTML in "<dt>\(name)</dt><dd>\(value)</dd>\n" }
        }
        return "<dl data-live=\"\(name)\">\n\(lines)</dl>"
    }

    /// A form of one button that changes something. `fields` are its hidden fields.
    static func button(_ fields: HTML, _ target: String, _ text: String) -> HTML {
        "<form method=\"post\" action=\"\(target)\">\(fields)<button>\(text)</button></form>"
    }

    static func certificateLink(_ name: String, _ number: Int64?) -> HTML {
        guard let number else { return "\(name)" }
        return "<a href=\"/certificates/\(number)\">\(name)</a>"
    }

    /// The latest events, newest first. `items` are those that they concern; nil for all events.
    static func latestEvents(of items: Set<ItemID>? = nil, _ limit: Int, in store: any StateStore) throws -> HTML {
        var query = EventQuery()
        query.isNewestFirst = true
        query.limit = limit
        guard let items else { return try events(try store.events(query), in: store) }
        let found = try items.flatMap { item in
            query.item = item
            return try store.events(query)
        }
        return try events(Array(found.sorted { $0.number > $1.number }.prefix(limit)), in: store)
    }

    static func events(_ events: [NumberedEvent], in store: any StateStore) throws -> HTML {
        let hosts = try Set(events.map(\.event.item).filter { $0.kind == .host }).filter { try store.item($0) != nil }
        return table(
            "Events", ["When", "Who", "What"],
            events.map { numbered in
                let event = numbered.event
                let failure: HTML? = event.failure.map { " \(mark("bad", "failed")) \($0)" }
                let more = event.details.filter { !["client", "request_id"].contains($0.key) }
                let words = more.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
                let facts: HTML? = words.isEmpty ? nil : " (\(words.joined(separator: "; ")))"
                return [
                    time(event.at), "\(event.actor)",
                    "\(event.action) \(self.item(event.item, isLinked: hosts.contains(event.item)))\(facts)\(failure)",
                ]
            })
    }

    private static func item(_ item: ItemID, isLinked: Bool) -> HTML {
        // Some kinds have only one item, which is named after the kind.
        let text = item.kind.rawValue == item.name ? item.name : "\(item.kind.rawValue) \(item.name)"
        return isLinked ? "<a href=\"/hosts/\(item.name)\">\(text)</a>" : "\(text)"
    }

    /// The page of the item that a change has made, with the parameter that makes the page say that it is saved.
    static func place(of answer: AdminResponse) -> String {
        let location = answer.fields.first { $0.name == "Location" }?.value ?? ""
        let place = location.hasPrefix("/api/v1/") ? String(location.dropFirst("/api/v1".count)) : "/"
        return "\(place)?\(Done.parameter)=\(Done.saved.rawValue)"
    }

    /// The message about the change that led to this page; nil if no change did.
    static func done(_ call: PageCall) -> HTML? {
        call.query(Done.parameter).flatMap(Done.init).map { done -> HTML in
            "<p role=\"status\">\(mark("good", "Done")) \(done.text)</p>"
        }
    }

    /// Who declares an item, and how it is changed. `place` is where it stands in the file.
    static func owner(_ owner: StoredItem.Owner, _ what: String, place: String? = nil) -> HTML {
        switch owner {
        case .file: "the file\(place.map { ", \($0)" } ?? ""): change \(what) there, and apply it"
        case .api: "the API"
        }
    }
}

/// What a page says after a change.
enum Done: String {
    case saved, deleted, asked, revoked

    static let parameter = "done"

    fileprivate var text: String {
        switch self {
        case .saved: "It is saved, and in force."
        case .deleted: "It is deleted."
        case .asked: "A gateway does it within a minute. The events have the result."
        case .revoked: "The CA has revoked it."
        }
    }
}
