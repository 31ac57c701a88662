import ConfigModel
import Gateway

/// The forms that order certificates of Cloudflare.
enum OrderPages {
    static let routes: [PageRoute] = [
        .form("/add/origin") { origin.page($0) }, .post("/add/origin") { try origin.order($0) },
        .form("/add/edge") { edge.page($0) }, .post("/add/edge") { try edge.order($0) },
    ]

    private static let origin = OrderForm(
        title: "Order a certificate of Cloudflare's Origin CA", path: "/add/origin", route: "orderOrigin",
        note: "Only Cloudflare trusts it: for hosts behind its proxy. It is stored here, and not renewed.",
        texts: [("zone_id", "Zone identifier"), ("name", "Name (left out: made of its first name)")],
        choices: [
            ("request_type", "Key", [("origin-rsa", "RSA"), ("origin-ecc", "ECDSA")]),
            ("requested_validity", "Validity", validities([5475, 1095, 730, 365, 90, 30, 7])),
        ], flags: [])

    private static let edge = OrderForm(
        title: "Order a certificate of Cloudflare's edge", path: "/add/edge", route: "orderEdge",
        note: "Cloudflare's edge serves it. Only an event is stored here.", texts: [("zone_id", "Zone identifier")],
        choices: [
            (
                "certificate_authority", "CA",
                [("lets_encrypt", "Let's Encrypt"), ("google", "Google Trust Services"), ("ssl_com", "SSL.com")]
            ), ("validation_method", "Validation", [("txt", "TXT record"), ("http", "HTTP"), ("email", "mail")]),
            ("validity_days", "Validity", validities([90, 14, 30, 365])),
        ], flags: [("cloudflare_branding", "Cloudflare's own name comes first")])

    private static func validities(_ days: [Int]) -> [(value: String, label: String)] {
        days.map { ("\($0)", "\($0) days") }
    }
}

private struct OrderForm: Sendable {
    let title: String
    let path: String
    /// The name of the API's route that places the order.
    let route: String
    let note: String
    let texts: [(name: String, label: String)]
    /// A chosen value that is a number is sent to the API as a number.
    let choices: [(name: String, label: String, values: [(value: String, label: String)])]
    let flags: [(name: String, label: String)]

    private static let names = (name: "hostnames", label: "Names, one a line")
    private static let token = (name: "api_token", label: "API token, which is used once and not stored")

    private var labels: [(name: String, label: String)] {
        [Self.names, Self.token] + texts + choices.map { ($0.name, $0.label) } + flags
    }

    func page(_ call: PageCall, _ failure: Problem? = nil) -> AdminResponse {
        let fields = PageFields(form: call.form, faults: failure.map { FormFaults($0, labels) })
        let texts = texts.map { fields.text($0.label, $0.name) }
        let choices = choices.map { fields.choice($0.label, $0.name, $0.values) }
        let boxes = flags.map { fields.box($0.label, $0.name) }
        return call.page(
            title,
            """
            <h1>\(title)</h1>
            <p>\(note)</p>
            \(fields.faults?.alert())
            <form method="post" action="\(path)">\(call.tokenField)
            \(fields.lines(Self.names.label, Self.names.name))
            \(fields.secret(Self.token.label, Self.token.name))
            \(texts)\(choices)\(boxes)
            <button>Order</button></form>
            """, status: failure?.kind.status ?? 200)
    }

    func order(_ call: PageCall) throws -> AdminResponse {
        var body: [(String, PlainValue)] = [("hostnames", .list(call.form.lines("hostnames").map(PlainValue.string)))]
        for name in ["api_token"] + texts.map(\.name) {
            if let text = call.form.text(name) { body.append((name, .string(text))) }
        }
        for choice in choices {
            guard let text = call.form.text(choice.name) else { continue }
            body.append((choice.name, Int(text).map(PlainValue.int) ?? .string(text)))
        }
        body += flags.map { ($0.name, .bool(call.form[$0.name] != nil)) }
        do {
            return .redirect(PageParts.place(of: try call.carryOut(route, [:], .map(body))))
        } catch let problem as Problem {
            return page(call, problem)
        }
    }
}
