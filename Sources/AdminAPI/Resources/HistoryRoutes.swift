import ConfigModel
import State

/// What has happened: applies and events.
enum HistoryRoutes {
    static let all: [Route] = [
        .reading(
            "/api/v1/generations", "listGenerations", "The applies that changed something, newest first",
            query: QueryParameter.page(), .page(of: generation)
        ) { call in
            let limit = call.query.limit
            let found = try call.store.generations(
                before: call.query.cursor.flatMap { Int($0.parts[0]) }, limit: limit + 1)
            return Page(found, limit, { $0 }, next: { Cursor("\($0.number)") })
        },
        .reading(
            "/api/v1/events", "listEvents", "What has happened, oldest first",
            query: [
                .integer("after", "Only events with a larger id", in: 0...Int.max, default: 0),
                .text(
                    "item", "Only events about this item, such as certificate:NAME or host:NAME",
                    expected: "must be a kind and a name, such as host:app.example.com",
                    read: { item($0) != nil ? $0 : nil }),
            ] + QueryParameter.page(), .page(of: event)
        ) { call in
            var query = EventQuery()
            query.after = Int64(call.query.integer("after") ?? 0)
            if let cursor = call.query.cursor.flatMap({ Int64($0.parts[0]) }) { query.after = max(query.after, cursor) }
            query.item = call.query.text("item").flatMap(item)
            query.limit = call.query.limit + 1
            return Page(try call.store.events(query), call.query.limit, { $0 }, next: { Cursor("\($0.number)") })
        },
    ]

    /// Reads `KIND:NAME`.
    private static func item(_ text: String) -> ItemID? {
        let parts = text.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, let kind = ItemKind(rawValue: String(parts[0])) else { return nil }
        return ItemID(kind, String(parts[1]))
    }

    private static let generation = JSONForm<Generation>.object(
        "Generation", "An apply that changed something",
        [
            JSONMember("number", .integer, "From 1") { $0.number },
            JSONMember("started_at", .time, "When it began") { $0.startedAt },
            JSONMember("who", .text, "The user and machine that ran it") { $0.who },
            JSONMember("file", .text, "The file's name as it was typed") { $0.fileName },
            JSONMember("directory", .text, "What the file's relative paths are relative to") { $0.directory },
            JSONMember("file_hash", .text, "SHA-256 of the file's text in lower-case hex") { $0.fileHash },
            JSONMember("outcome", .word(["unfinished", "complete", "partial"]), "How it ended") {
                $0.outcome.rawValue
            },
            JSONMember("summary", .text, "What it changed") { $0.summary },
        ])

    static let event = JSONForm<NumberedEvent>.object(
        "Event", "A change that was made, or that failed",
        [
            JSONMember("id", .integer, "Grows with each event") { Int($0.number) },
            JSONMember("at", .time, "When it happened") { $0.event.at },
            JSONMember("actor", .text, "Who did it") { $0.event.actor },
            JSONMember("action", .text, "What was done, such as issue") { $0.event.action },
            JSONMember("item", .text, "What it was done to: the kind and the name") {
                "\($0.event.item.kind.rawValue):\($0.event.item.name)"
            },
            JSONMember("failure", .optional(.text), "Why it failed; null when it did not") { $0.event.failure },
            JSONMember("details", .any("object"), "More facts, as texts by name") { event in
                .map(event.event.details.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })
            },
        ])
}
