import ConfigModel
import Gateway
import State
import Synchronization

/// The events that happen while a client listens, as server-sent events
/// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
final class EventStream: AdminStream {
    static let route = Route(
        method: "GET", path: "/api/v1/events/stream", scope: .read, name: "followEvents",
        summary: "Events as they happen, as server-sent events: each has an Event in its data",
        query: [
            .integer(
                "after",
                "Begins with the events that have a larger id; without it, with what happens from now on. A"
                    + " field Last-Event-ID counts more", in: 0...Int.max, default: nil)
        ],
        answer: Route.Answer(
            summary: "The events, until the client leaves", type: "text/event-stream",
            schema: .map([("type", .string("string"))]), definitions: HistoryRoutes.event.definitions), carryOut: open)

    /// How long browsers wait before they connect again, in milliseconds.
    private static let retryMilliseconds = 2000
    /// The most events of a part.
    private static let mostEvents = 100

    private let request: AdminRequest
    /// The number of the last event that was sent.
    private let last: Mutex<Int64>

    private init(_ request: AdminRequest, after last: Int64) {
        self.request = request
        self.last = Mutex(last)
    }

    private static func open(_ call: Call) throws -> AdminResponse {
        let values = call.request.values(of: "last-event-id")
        guard values.count <= 1, values.allSatisfy({ Int64($0).map { $0 >= 0 } == true }) else {
            throw Problem(.invalid, "Last-Event-ID is the id of an event.")
        }
        let last =
            try values.first.flatMap { Int64($0) } ?? call.query.integer("after").map(Int64.init)
            ?? EventQuery.newest(in: call.store)
        var response = AdminResponse(
            status: 200, fields: [("Content-Type", "text/event-stream")],
            // The id is for a client that loses its connection before the first event.
            body: Array("retry: \(retryMilliseconds)\nid: \(last)\n\n".utf8))
        response.stream = EventStream(call.request, after: last)
        return response
    }

    /// The events since the last part. Returns `.end` if the client may no longer read.
    func part(from store: any StateStore, _ gate: Gate) throws -> AdminStreamPart {
        var query = EventQuery()
        query.limit = Self.mostEvents
        query.after = last.withLock { $0 }
        let events = try store.events(query)
        do {
            // This comes after reading, so that the client does not get the event which ends its access.
            let credentials = request.holder == nil ? Credentials(request) : .none
            _ = try gate.identify(credentials, request, in: store, notesUse: false)
        } catch is Problem {
            return .end
        }
        if let newest = events.last { last.withLock { $0 = newest.number } }
        return .bytes(
            events.flatMap { event in
                Array("id: \(event.number)\ndata: ".utf8) + HistoryRoutes.event.write(event).json() + Array("\n\n".utf8)
            })
    }
}

extension EventQuery {
    /// The number of the newest event; 0 if there is none.
    static func newest(in store: any StateStore) throws -> Int64 {
        var query = EventQuery()
        query.isNewestFirst = true
        query.limit = 1
        return try store.events(query).first?.number ?? 0
    }
}
