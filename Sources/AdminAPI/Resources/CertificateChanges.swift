import ConfigModel
import Operations
import PKI
import State

/// The routes that store, renew, revoke and delete certificates.
enum CertificateChanges {
    static let all: [Route] = [
        Route(
            method: "POST", path: "/api/v1/certificates", scope: .write, name: "createCertificate",
            summary: "Stores a certificate of your own with its key", query: [], body: schema,
            answer: Route.Answer(
                status: 201, summary: ChangeAnswer.summary, type: "application/json", schema: answer.schema,
                definitions: answer.definitions)
        ) { call in
            try ChangeRun(call, action: "createCertificate", status: 201, upload) { change, call in
                change.response(answer.write(Stored(change: change, warnings: try warnings(change, call))))
            }.run()
        },
        .changing(
            "DELETE", "/api/v1/certificates/{id}", "deleteCertificate", "Deletes a certificate that no client gets",
            query: [.word("force", "Deletes it although clients get it. A host that refers to it keeps it", ["true"])],
            status: 204
        ) { try $0.owned.deleteCertificate(numbered: number($0), isForced: $0.query.text("force") != nil) },
        .changing(
            "POST", "/api/v1/certificates/{id}/renew", "renewCertificate",
            "Makes a gateway renew a certificate soon, even if it is not due. Events have the result", status: 202
        ) { try $0.owned.renewCertificate(numbered: number($0)) },
        .changing(
            "POST", "/api/v1/certificates/{id}/revoke", "revokeCertificate",
            "Has the CA revoke a certificate, which can't be undone. A gateway replaces it soon if it is renewed at all",
            status: 202, body: revocationSchema, revoke),
    ]

    private static let revocationSchema = PlainValue.map([
        ("type", .string("object")),
        (
            "properties",
            .map([
                (
                    "reason",
                    .map([
                        ("enum", .list(RevocationWord.allCases.map { .string($0.rawValue) })),
                        ("description", .string("Why it is revoked (RFC 5280 section 5.3.1)")),
                    ])
                )
            ])
        ), ("required", .list([.string("reason")])), ("additionalProperties", .bool(false)),
    ])

    private static func revoke(_ call: Call) throws -> OwnedItems.Change {
        guard case .object(let entries) = call.body, entries.count == 1, case .string(let word)? = call.body["reason"],
            let reason = RevocationWord(rawValue: word)
        else {
            let words = RevocationWord.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem(
                .invalid, "Send a JSON object with the reason alone.",
                errors: [(.pointer("/reason"), "must be one of \(words)")])
        }
        return try call.owned.revokeCertificate(numbered: number(call), reason, call.issuance())
    }

    private static let chain = "cert_pem"
    private static let key = "key_pem"

    /// The certificate's number in the path. If the path has no number there, 0, which no certificate has.
    private static func number(_ call: Call) -> Int64 {
        call.parameters["id"].flatMap(CertificateRoutes.number) ?? 0
    }

    private struct Stored: Sendable {
        let change: ChangeAnswer
        let warnings: [String]
    }

    private static let answer = JSONForm<Stored>.object(
        "StoredCertificate", "A certificate that was stored",
        ChangeAnswer.members.map { JSONMember(copying: $0, \Stored.change) } + [
            JSONMember("warnings", .list(of: .text), "What is wrong with it, or what some clients refuse") {
                $0.warnings
            }
        ])

    /// Empty if the certificate is deleted by now.
    private static func warnings(_ change: ChangeAnswer, _ call: Call) throws -> [String] {
        guard let number = change.number, let found = try call.store.certificate(numbered: number) else { return [] }
        let details = try CertificateDetails(found, in: call.store, now: call.now)
        let condition = details.summary.condition
        return [condition.problem, condition.warning].compactMap(\.self) + details.warnings
    }

    private static func upload(_ call: Call) throws -> OwnedItems.Change {
        let sent = try read(call.body)
        return call.owned.store(
            try call.owned.examine(
                sent, at: OwnedItems.Places(chain: "/\(chain)", key: "/\(key)"), try call.sealer()))
    }

    private static func read(_ body: PlainValue) throws -> SentCertificate {
        guard case .object(let entries) = body else {
            throw Problem(.invalid, "Send a JSON object.", errors: [(.pointer(""), "must be an object")])
        }
        var errors: [(place: Problem.Place, detail: String)] = []
        var texts: [String: String] = [:]
        var domains: [DomainName] = []
        for entry in entries where entry.value != .null {
            let pointer = "/\(entry.key)"
            switch (entry.key, entry.value) {
            case (chain, .string(let text)), (key, .string(let text)), ("name", .string(let text)):
                texts[entry.key] = text
            case (chain, _), (key, _), ("name", _): errors.append((.pointer(pointer), "must be a text"))
            case ("domains", .list(let items)):
                for (index, item) in items.enumerated() {
                    if case .string(let text) = item, let name = try? DomainName.parse(text) {
                        domains.append(name)
                    } else {
                        errors.append((.pointer("/domains/\(index)"), "must be a host name"))
                    }
                }
            case ("domains", _): errors.append((.pointer(pointer), "must be a list of host names"))
            default:
                let near = Suggestion.nearest(to: entry.key, in: [chain, key, "name", "domains"])
                errors.append(
                    (
                        .pointer(near == nil ? HarmlessText.pointer(toMember: entry.key) : pointer),
                        near.map { "is unknown; did you mean '\($0)'?" }
                            ?? "is unknown; there are: \(chain), domains, \(key), name"
                    ))
            }
        }
        for name in [chain, key] where texts[name] == nil && body[name] ?? .null == .null {
            errors.append((.pointer("/\(name)"), "is missing"))
        }
        guard errors.isEmpty, let chain = texts[chain], let key = texts[key] else {
            throw Problem(.invalid, "The certificate has faults.", errors: errors)
        }
        return SentCertificate(
            chain: SecretBytes(Array(chain.utf8)), key: SecretBytes(Array(key.utf8)), name: texts["name"],
            domains: domains)
    }

    private static let schema: PlainValue = {
        func text(_ summary: String) -> PlainValue {
            .map([("type", .string("string")), ("description", .string(summary))])
        }
        return .map([
            ("type", .string("object")),
            (
                "properties",
                .map([
                    (chain, text("The certificate and its intermediates in PEM, the leaf first")),
                    (key, text("Its private key in PEM, not encrypted")),
                    ("name", text("A name for it; left out: one is made of its first domain")),
                    (
                        "domains",
                        .map([
                            ("type", .string("array")), ("items", .map([("type", .string("string"))])),
                            ("description", .string("Names that it must cover; left out: any")),
                        ])
                    ),
                ])
            ), ("required", .list([.string(chain), .string(key)])), ("additionalProperties", .bool(false)),
        ])
    }()
}
