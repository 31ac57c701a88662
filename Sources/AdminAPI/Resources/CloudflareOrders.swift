import ConfigModel
import Gateway
import Issuers
import Operations
import PKI
import State

/// Orders at Cloudflare. The credential comes with the request, and is forgotten with it.
enum CloudflareOrders {
    static let all: [Route] = [
        Route(
            method: "POST", path: "/api/v1/certificates/cloudflare-origin", scope: .write, name: "orderOrigin",
            summary: "Orders a certificate of Cloudflare's Origin CA, and stores it. It is not renewed", query: [],
            body: originSchema,
            answer: Route.Answer(
                status: 201, summary: "What was issued", type: "application/json", schema: originAnswer.schema,
                definitions: originAnswer.definitions)
        ) { call in
            try ChangeRun(call, action: "orderOrigin", status: 201, orderOrigin) { answer, call in
                let stored = try answer.number.flatMap { try call.store.certificate(numbered: $0)?.certificate }
                let full = try stored.flatMap { try call.store.certificate(named: $0.name) }
                return answer.response(
                    originAnswer.write(Origin(answer: answer, certificate: full, zone: call.body["zone_id"])))
            }.run()
        },
        Route(
            method: "POST", path: "/api/v1/certificates/cloudflare-edge", scope: .write, name: "orderEdge",
            summary: "Orders a certificate pack of Cloudflare's edge. The state keeps only an event of it", query: [],
            body: edgeSchema,
            answer: Route.Answer(
                status: 202, summary: "What was ordered", type: "application/json", schema: edgeAnswer.schema,
                definitions: edgeAnswer.definitions)
        ) { call in
            try ChangeRun(call, action: "orderEdge", status: 202, { try $0.owned.orderEdge(edge($0), $0.issuance()) }) {
                answer, call in
                // The pack may take minutes to become active, so its status is always the present one.
                let status = try? EdgePacks(call.issuance()).status(of: answer.item.name, by: edge(call))
                return answer.response(edgeAnswer.write((answer.item.name, status)))
            }.run()
        },
    ]

    // MARK: Cloudflare's Origin CA

    private struct Origin: Sendable {
        let answer: ChangeAnswer
        /// Nil if it was deleted meanwhile.
        let certificate: StoredCertificate?
        let zone: PlainValue?
    }

    private static let originAnswer = JSONForm<Origin>.object(
        "OriginOrder", "A certificate of Cloudflare's Origin CA",
        [
            JSONMember("status", .word(["created"]), "What was done") { _ in "created" },
            JSONMember("id", .optional(.integer), "The certificate's number") { $0.answer.number.map { Int($0) } },
            JSONMember("cloudflare_id", .optional(.text), "Its identifier at Cloudflare; null if it is deleted by now")
            {
                $0.certificate?.remote?.id
            },
            JSONMember("expires_on", .optional(.time), "The end of its validity; null if it is deleted by now") {
                $0.certificate?.facts.expiresAt
            },
            JSONMember("requested_zone", .optional(.text), "The zone that the request named") {
                if case .string(let zone)? = $0.zone { zone } else { nil }
            },
        ])

    private static func orderOrigin(_ call: Call) throws -> OwnedItems.Change {
        let secrets = ["api_token", "origin_ca_key"]
        let settings = ["auth_method", "request_type", "requested_validity", "zone_id"]
        let credential = call.body["auth_method"] == .string("origin_ca_key") ? "origin_ca_key" : "api_token"
        let sent = try members(
            call, texts: secrets + ["name"], others: settings + ["hostnames"], required: [credential, "hostnames"])
        // Cloudflare's own default is RSA.
        let standard = sent["request_type"] == nil ? [("request_type", PlainValue.string("origin-rsa"))] : []
        var file = ItemFile()
        let issuer = sent.filter { (secrets + settings).contains($0.key) }.map { ($0.key, $0.value) } + standard
        file.add(
            PlainValue.map([("type", .string("cloudflare_origin"))] + issuer + (try place(call))).json(),
            named: issuerName,
            to: .issuers)
        file.add(
            PlainValue.map([("issuer", .string(issuerName)), ("domains", sent["hostnames"] ?? .null)]).json(),
            named: issuerName, to: .certificates)
        let configuration = try read(file)
        guard let settings = configuration.issuers.first?.settings as? CloudflareOriginIssuer,
            case .issued(let certificate)? = configuration.certificates.first?.source
        else { throw Problem(.invalid, "The order has faults.") }
        var name: String?
        if case .string(let text)? = sent["name"] {
            try call.owned.checkName(text)
            name = text
        }
        return try call.owned.orderOrigin(settings, for: certificate.domains, named: name, call.issuance())
    }

    // MARK: Cloudflare's edge

    private static let edgeAnswer = JSONForm<(id: String, status: String?)>.object(
        "EdgeOrder", "A certificate pack of Cloudflare's edge",
        [
            JSONMember("id", .text, "The same as cloudflare_id: the state does not keep the pack") { $0.id },
            JSONMember("cloudflare_id", .text, "Its identifier at Cloudflare") { $0.id },
            JSONMember("status", .optional(.text), "What Cloudflare says of it now; null if it can't be asked") {
                $0.status
            },
        ])

    private static func edge(_ call: Call) throws -> EdgeCertificate {
        let settings = [
            "zone_id", "certificate_authority", "validation_method", "validity_days", "cloudflare_branding",
        ]
        let sent = try members(
            call, texts: ["api_token"], others: settings + ["hostnames"],
            required: ["api_token", "zone_id", "hostnames"])
        var file = ItemFile()
        let entries = sent.map { ($0.key == "hostnames" ? "hosts" : $0.key, $0.value) }.sorted { $0.0 < $1.0 }
        file.add(PlainValue.map(entries + (try place(call))).json(), named: "", to: .edgeCertificates)
        guard let certificate = try read(file).edgeCertificates.first else {
            throw Problem(.invalid, "The order has faults.")
        }
        return certificate
    }

    // MARK: Reading

    private static let issuerName = "cloudflare"

    /// Where Cloudflare's API is, as settings of an issuer. No request can name another place.
    private static func place(_ call: Call) throws -> [(String, PlainValue)] {
        let record = try call.store.item(ItemID(single: .gateway))?.record
        let cloudflare = (record.flatMap(GatewaySettings.init(record:)) ?? GatewaySettings()).admin.cloudflare
        return [("base_url", .string(cloudflare.baseURL.text))]
            + (cloudflare.caFile.map { [("ca_file", .string($0))] } ?? [])
    }

    /// The members of the body, without those that are null. `texts` must be texts, so that no request names a file or a
    /// variable of the gateway for a secret; the file's rules decide about the others.
    private static func members(
        _ call: Call, texts: [String], others: [String], required: [String]
    ) throws -> [String: PlainValue] {
        guard case .object(let entries) = call.body else {
            throw Problem(.invalid, "Send a JSON object.", errors: [(.pointer(""), "must be an object")])
        }
        let known = texts + others
        var errors: [(place: Problem.Place, detail: String)] = []
        for entry in entries {
            if texts.contains(entry.key) {
                if case .string = entry.value { continue }
                if entry.value != .null { errors.append((.pointer("/\(entry.key)"), "must be a text")) }
            } else if !known.contains(entry.key) {
                let near = Suggestion.nearest(to: entry.key, in: known)
                errors.append(
                    (
                        .pointer(near == nil ? HarmlessText.pointer(toMember: entry.key) : "/\(entry.key)"),
                        near.map { "is unknown; did you mean '\($0)'?" }
                            ?? "is unknown; there are: \(known.sorted().joined(separator: ", "))"
                    ))
            }
        }
        for name in required where call.body[name] ?? .null == .null {
            errors.append((.pointer("/\(name)"), "is missing"))
        }
        guard errors.isEmpty else { throw Problem(.invalid, "The order has faults.", errors: errors) }
        return Dictionary(entries.filter { $0.value != .null }.map { ($0.key, $0.value) }) { first, _ in first }
    }

    /// Reads an order that was written in the language of the file. Faults point to the API's members, not to the
    /// file's keys.
    private static func read(_ file: ItemFile) throws -> Configuration {
        do throws(ItemFaults) {
            return try file.configuration()
        } catch {
            throw Problem(
                .invalid, "The order has faults.",
                errors: error.faults.map { fault in
                    var parts = fault.pointer.split(separator: "/").map(String.init)
                    if let first = parts.first, ["domains", "hosts"].contains(first) { parts[0] = "hostnames" }
                    let hint = fault.hint.map { "; \($0)" } ?? ""
                    return (.pointer(parts.map { "/\($0)" }.joined()), fault.message + hint)
                })
        }
    }

    // MARK: Description

    private static func schema(_ members: [(String, PlainValue)], required: [String]) -> PlainValue {
        .map([
            ("type", .string("object")), ("properties", .map(members)),
            ("required", .list(required.map(PlainValue.string))), ("additionalProperties", .bool(false)),
        ])
    }

    private static func text(_ summary: String) -> PlainValue {
        .map([("type", .string("string")), ("description", .string(summary))])
    }

    private static func choice(_ words: [String], _ summary: String) -> PlainValue {
        .map([("enum", .list(words.map(PlainValue.string))), ("description", .string(summary))])
    }

    private static func days(_ choices: [Int], _ summary: String) -> PlainValue {
        .map([("enum", .list(choices.map(PlainValue.int))), ("description", .string(summary))])
    }

    private static let names = PlainValue.map([
        ("type", .string("array")), ("items", .map([("type", .string("string"))])), ("minItems", .int(1)),
        ("description", .string("The names that it is for")),
    ])

    private static let originSchema = schema(
        [
            ("auth_method", choice(["api_token", "origin_ca_key"], "What the request proves itself by (api_token)")),
            ("api_token", text("A token with the permission Zone, SSL and Certificates, Edit")),
            ("origin_ca_key", text("An Origin CA key, which Cloudflare has deprecated")), ("hostnames", names),
            ("request_type", choice(["origin-rsa", "origin-ecc"], "The kind of key (origin-rsa)")),
            ("requested_validity", days([7, 30, 90, 365, 730, 1095, 5475], "How many days it lives (5475)")),
            ("zone_id", text("Its zone: 32 hex digits. With it, a certificate whose answer was lost is found again")),
            ("name", text("A name for it; left out: one that follows from the order")),
        ], required: ["hostnames"])

    private static let edgeSchema = schema(
        [
            ("api_token", text("A token with the permission Zone, SSL and Certificates, Edit")),
            ("zone_id", text("Its zone: 32 hex digits")), ("hostnames", names),
            ("certificate_authority", choice(["google", "lets_encrypt", "ssl_com"], "The CA (lets_encrypt)")),
            ("validation_method", choice(["txt", "http", "email"], "How control over a name is proved (txt)")),
            ("validity_days", days([14, 30, 90, 365], "How many days it lives (90)")),
            (
                "cloudflare_branding",
                .map([
                    ("type", .string("boolean")),
                    ("description", .string("Whether Cloudflare puts its own name first")),
                ])
            ),
        ], required: ["api_token", "zone_id", "hostnames"])
}
