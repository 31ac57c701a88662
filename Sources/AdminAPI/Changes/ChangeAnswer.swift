import ConfigModel
import Gateway
import State

/// The answer to a change. It follows only from what was committed, so a repeated request gets the same answer.
struct ChangeAnswer: Sendable {
    let status: Int
    let item: ItemID
    /// The number of a certificate; nil for other items.
    let number: Int64?
    let revision: Int

    init(_ remembered: RememberedAnswer) {
        status = remembered.status
        item = remembered.item
        number = remembered.number
        revision = remembered.revision
    }

    init(status: Int, item: ItemID, number: Int64?, revision: Int) {
        self.status = status
        self.item = item
        self.number = number
        self.revision = revision
    }

    static let summary = "What was done"

    static let form = JSONForm<ChangeAnswer>.object("Change", summary, members)

    static let members: [JSONMember<ChangeAnswer>] = [
        JSONMember("status", .word(["created", "changed", "accepted"]), "What was done") { $0.word },
        JSONMember("id", identity, "What identifies the item: a certificate's number, or a host's domain") { $0.id },
    ]

    private static let identity = JSONForm<PlainValue>(
        schema: .map([("type", .list([.string("integer"), .string("string")]))])
    ) { $0 }

    private var word: String {
        switch status {
        case 201: "created"
        case 202: "accepted"
        default: "changed"
        }
    }

    private var id: PlainValue { number.map { .int(Int($0)) } ?? .string(item.name) }

    var response: AdminResponse { response(Self.form.write(self)) }

    /// The response with this body. With status 204 there is no body.
    func response(_ body: PlainValue) -> AdminResponse {
        var fields = [(name: "Aegis-Revision", value: "\(revision)")]
        guard status != 204 else { return AdminResponse(status: status, fields: fields) }
        if status == 201 {
            let collection = item.kind == .host ? "hosts" : "certificates"
            // A domain is in its wire form, so nothing in it must be encoded.
            fields.append(("Location", "/api/v1/\(collection)/\(number.map { "\($0)" } ?? item.name)"))
        }
        fields.append(("Content-Type", "application/json"))
        return AdminResponse(status: status, fields: fields, body: body.json() + [UInt8(ascii: "\n")])
    }
}
