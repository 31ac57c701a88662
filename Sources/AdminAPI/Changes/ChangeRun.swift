import ConfigModel
import Gateway
import Operations
import PKI
import State

/// Carries out a change while it holds the lock for applying, so there is one change at a time. One commit contains the
/// change, its event, and the answer to remember for a repeated request. A change that changes nothing has no event.
struct ChangeRun {
    private let call: Call
    /// The name of the route, from which the event's action is made.
    private let action: String
    private let status: Int
    private let make: (Call) throws -> OwnedItems.Change
    private let respond: (ChangeAnswer, Call) throws -> AdminResponse

    /// How long a change waits for an apply, in seconds.
    static let patienceSeconds = 10

    /// `respond` makes the response to a change that was committed, now or earlier.
    init(
        _ call: Call, action: String, status: Int, _ make: @escaping (Call) throws -> OwnedItems.Change,
        respond: @escaping (ChangeAnswer, Call) throws -> AdminResponse = { answer, _ in answer.response }
    ) {
        self.call = call
        self.action = action
        self.status = status
        self.make = make
        self.respond = respond
    }

    func run() throws -> AdminResponse {
        let key = try IdempotencyKey(call.request)
        let deadline = call.request.receivedAt.advanced(by: .seconds(Self.patienceSeconds))
        let writing = call.dependencies.writing
        var answer: ChangeAnswer?
        let hasLock = try writing.underLock(call.store, deadline) { answer = try carryOut(key, $0) }
        guard hasLock, let answer else {
            throw Problem(
                .locked, "An apply is running. Try again when it is done.",
                fields: [(name: "Retry-After", value: "\(Self.patienceSeconds)")])
        }
        writing.awaitService(call.store, answer.revision)
        var response = try respond(answer, call)
        if let tag = tag(of: answer) { response.fields.append(("ETag", tag)) }
        return response
    }

    /// The tag of the host or certificate that was created or changed, for `If-Match`. Nil after other changes.
    private func tag(of answer: ChangeAnswer) -> String? {
        guard [200, 201].contains(answer.status), [.host, .certificate].contains(answer.item.kind) else { return nil }
        let isHost = answer.item.kind == .host
        var context = call.context
        context.parameters["id"] = isHost ? answer.item.name : answer.number.map { "\($0)" }
        guard let route = Routes.all.first(where: { $0.name == (isHost ? "getHost" : "getCertificate") }),
            let query = try? Query([], [])
        else { return nil }
        return try? route.carryOut(Call(path: route.path, query: query, body: .object([]), context: context)).tag
    }

    private func carryOut(_ key: IdempotencyKey?, _ holder: LeaseHolder) throws -> ChangeAnswer {
        let actor = call.caller.actor
        let digest = IdempotencyKey.digest(of: call.request)
        if let key {
            let since = call.now - RememberedAnswer.seconds
            if let remembered = try call.store.rememberedAnswer(to: key.text, of: actor, since: since) {
                guard remembered.request == digest else {
                    throw Problem(.keyReused, "A different request had this Idempotency-Key within the last day.")
                }
                return ChangeAnswer(remembered)
            }
        }
        try checkTag()
        let change: OwnedItems.Change
        do {
            change = try make(call)
        } catch let failure as OperationFailure {
            throw Problem(failure)
        }
        defer { change.lease?.release() }
        // This comes before the commit, since a deleted certificate has no number.
        let former = try number(of: change.item)
        let answer = RememberedAnswer(
            actor: actor, key: key?.text ?? "", request: digest, status: status, item: change.item, number: former,
            at: call.now)
        let changes = change.mutations.isEmpty ? [] : change.mutations + [.appendEvent(event(change))]
        let mutations = changes + (key == nil ? [] : [.rememberAnswer(answer)])
        let revision =
            try mutations.isEmpty ? call.store.revision() : call.store.commit(mutations, by: holder)
        return ChangeAnswer(
            status: status, item: change.item, number: try former ?? number(of: change.item), revision: revision)
    }

    private func number(of item: ItemID) throws -> Int64? {
        item.kind == .certificate ? try call.store.number(ofCertificate: item.name) : nil
    }

    private func event(_ change: OwnedItems.Change) -> AuditEvent {
        let sender = ["client": call.request.client, "request_id": call.request.requestID]
        // The names of routes begin with what they do, such as `createHost`.
        return AuditEvent(
            at: call.now, actor: call.caller.actor, action: String(action.prefix { $0.isLowercase }),
            item: change.item, details: sender.merging(change.details) { first, _ in first })
    }

    /// Refuses the change if the client has seen another version of the resource (RFC 9110 section 13.1.1).
    private func checkTag() throws {
        let words = call.request.values(of: "if-match").flatMap { $0.split(separator: ",") }
        let tags = words.map { String($0.trimmingBlanks) }
        guard !tags.isEmpty, !tags.contains("*") else { return }
        // The tag for `…/renew` is that of the item to renew.
        let reading = Routes.all.filter { $0.method == "GET" && call.path.text.hasPrefix($0.path.text) }
            .max { $0.path.text.count < $1.path.text.count }
        guard let current = try reading?.carryOut(call), tags.contains(current.tag) else {
            throw Problem(.stale, "It has changed since it was read. Read it again.")
        }
    }
}

/// A text by which a client says that two requests are the same (draft-ietf-httpapi-idempotency-key-header).
struct IdempotencyKey: Equatable {
    let text: String

    private static let maximumBytes = 255

    /// Nil if the request has none.
    init?(_ request: AdminRequest) throws {
        let values = request.values(of: "idempotency-key")
        guard let value = values.first else { return nil }
        guard values.count == 1, (1...Self.maximumBytes).contains(value.utf8.count),
            value.utf8.allSatisfy({ 0x21...0x7E ~= $0 })
        else {
            throw Problem(
                .invalid, "Idempotency-Key is one word of at most \(Self.maximumBytes) visible ASCII characters.")
        }
        text = value
    }

    /// Two requests are the same if they have the same method, target and body.
    static func digest(of request: AdminRequest) -> [UInt8] {
        Digest.sha256(Array("\(request.method) \(request.target)\n".utf8) + request.body)
    }
}

extension Problem {
    init(_ failure: OperationFailure) {
        let kind: Kind =
            switch failure.kind {
            case .invalid: .invalid
            case .missing: .notFound
            case .ownedByFile: .ownedByFile
            case .nameTaken: .nameTaken
            case .inUse: .inUse
            case .notPossible: .notPossible
            }
        // A problem's detail consists of sentences.
        let detail = [failure.message, failure.hint].compactMap(\.self).map { clause in
            clause.prefix(1).uppercased() + clause.dropFirst() + "."
        }
        self.init(
            kind, detail.joined(separator: " "), errors: failure.faults.map { (.pointer($0.pointer), $0.message) })
    }
}
