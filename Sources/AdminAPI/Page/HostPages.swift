import ConfigModel
import Gateway
import Reconciler
import State

/// A host, and the forms that add and change one.
///
/// The forms have the settings that most hosts need. All others are in the API, and stay as they are when a form is sent.
enum HostPages {
    static let routes: [PageRoute] = [
        .get("/hosts/{id}") { call in try show(call, try HostRoutes.find(call.context)) },
        .post("/hosts/{id}", change),
        .post("/hosts/{id}/delete", delete),
        .get("/add/host") { try addForm($0, [:]) },
        .post("/add/host", add),
    ]

    /// A host's state as a word.
    static func state(_ status: HostStatus) -> HTML {
        if let problem = status.problem { return "\(PageParts.mark("bad", "Problem")) \(problem)" }
        if let warning = status.warning { return "\(PageParts.mark("warning", "Warning")) \(warning)" }
        guard status.isEnabled else { return "\(PageParts.mark("off", "Off")) \(status.note ?? "")" }
        return PageParts.mark("good", "Good")
    }

    private static func show(
        _ call: PageCall, _ view: HostView, _ faults: PageParts.Faults = [:], failure: Problem? = nil
    ) throws -> AdminResponse {
        let isOurs = view.owner == .api && call.mayChange
        let settings = PlainValue.object(view.settings)
        let deletion =
            isOurs
            ? try PageParts.button(
                call.tagFields("getHost", view.name), "/hosts/\(view.name)/delete", "Delete",
                question: "Delete \(view.name)? It is no longer served.")
            : nil
        let form: HTML? =
            try isOurs
            ? """
            <h2>Change it</h2>
            <form method="post" action="/hosts/\(view.name)">\(call.tagFields("getHost", view.name, isLive: false))
            \(fields(failure == nil ? Self.form(of: settings, view) : call.form, try choices(call), faults))
            <button>Save</button></form>
            """ : nil
        let others = view.settings.map { entry -> (name: String, value: HTML?) in
            (entry.key, "<code>\(String(decoding: entry.value.json(), as: UTF8.self))</code>")
        }
        return call.page(
            view.name,
            """
            <h1>\(view.name)</h1>
            \(failure.map(PageParts.failure))
            <p data-live="state">\(view.status.map(state))</p>
            \(PageParts.facts([
                ("Certificate", view.status?.certificate.map { PageParts.certificateLink($0, view.certificateNumber) }),
                ("Issuer", view.status?.issuer.map { "\($0)" }),
                ("Expires", view.status?.expiresAt.map { PageParts.life(from: nil, to: $0, now: call.now) }),
                ("Owner", PageParts.owner(view.owner, "this host")),
            ]))
            \(form)
            <div class="actions">\(deletion)</div>
            <details><summary>All settings</summary>\(PageParts.facts(others, as: "settings"))</details>
            \(try PageParts.latestEvents(of: ItemID(.host, view.name), 20, in: call.store))
            """, status: failure?.kind.status ?? 200)
    }

    // MARK: Forms

    /// The certificates that a host may be given: those that were uploaded, by number.
    private static func choices(_ call: PageCall) throws -> [(number: Int64, name: String)] {
        var query = CertificateQuery()
        query.source = .custom
        query.limit = 500
        return try call.store.certificates(query).map { ($0.number, $0.certificate.name) }
    }

    /// What the form shows of a host at first.
    private static func form(of settings: PlainValue, _ view: HostView) -> PageForm {
        func lines(_ key: String) -> String {
            guard case .list(let items)? = settings[key] else { return "" }
            return items.compactMap { item in
                switch item {
                case .string(let text): text
                default: item["url"].flatMap { if case .string(let text) = $0 { text } else { nil } }
                }
            }.joined(separator: "\n")
        }
        func text(_ key: String) -> String {
            switch settings[key] {
            case .string(let text)?: text
            case .int(let number)?: "\(number)"
            default: ""
            }
        }
        func flag(_ key: String) -> String? { settings[key] == .bool(true) ? "yes" : nil }
        return PageForm(values: [
            "aliases": lines("aliases"), "upstreams": lines("upstreams"), "ssl_mode": text("ssl_mode"),
            "ssl_cert_id": view.certificateNumber.map { "\($0)" } ?? "", "enabled": flag("enabled"),
            "force_https": flag("force_https"), "hsts_enabled": flag("hsts_enabled"),
            "tls_min_version": text("tls_min_version"),
        ])
    }

    private static let modes = [
        ("none", "none"), ("letsencrypt", "obtained from the issuer"), ("custom", "one of the uploaded ones"),
    ]
    private static let versions = [("1.2", "1.2"), ("1.3", "1.3")]
    private static let flags = [
        ("enabled", "It is served"), ("force_https", "HTTP is redirected to HTTPS"), ("hsts_enabled", "Sends HSTS"),
    ]

    private static func fields(
        _ form: PageForm, _ choices: [(number: Int64, name: String)], _ faults: PageParts.Faults
    ) -> HTML {
        let boxes = flags.map { name, label in PageParts.checkBox(label, name, form, faults) }
        let numbers = [("", "–")] + choices.map { ("\($0.number)", $0.name) }
        return """
            \(PageParts.textArea("Other names, one a line", "aliases", form, faults))
            \(PageParts.textArea("Upstreams, one URL a line", "upstreams", form, faults))
            \(PageParts.choice("Certificate", "ssl_mode", modes, form, faults))
            \(PageParts.choice("Uploaded certificate", "ssl_cert_id", numbers, form, faults))
            \(PageParts.choice("Oldest TLS version", "tls_min_version", versions, form, faults))
            \(boxes)
            """
    }

    /// The members that the form sets, for the API.
    private static func members(_ form: PageForm) -> [(String, PlainValue)] {
        let mode = form.text("ssl_mode") ?? "none"
        let number = mode == "custom" ? form.text("ssl_cert_id").flatMap { Int($0) } : nil
        return [
            ("aliases", .list(form.lines("aliases").map(PlainValue.string))),
            ("upstreams", .list(form.lines("upstreams").map(PlainValue.string))), ("ssl_mode", .string(mode)),
            ("ssl_cert_id", number.map(PlainValue.int) ?? .null),
            ("tls_min_version", form.text("tls_min_version").map(PlainValue.string) ?? .null),
        ] + flags.map { name, _ in (name, .bool(form[name] != nil)) }
    }

    private static func addForm(_ call: PageCall, _ faults: PageParts.Faults, failure: Problem? = nil) throws
        -> AdminResponse
    {
        let form = failure == nil ? PageForm(values: ["ssl_mode": "letsencrypt", "enabled": "yes"]) : call.form
        return call.page(
            "Add a host",
            """
            <h1>Add a host</h1>
            \(failure.map(PageParts.failure))
            <form method="post" action="/add/host">\(call.tokenField)
            \(PageParts.textField("Domain", "domain", form, faults, isRequired: true))
            \(fields(form, try choices(call), faults))
            <button>Add</button></form>
            """, status: failure?.kind.status ?? 200)
    }

    private static func add(_ call: PageCall) throws -> AdminResponse {
        do {
            let domain = ("domain", PlainValue.string(call.form.text("domain") ?? ""))
            let answer = try call.carryOut("createHost", [:], .map([domain] + members(call.form)))
            return .redirect(PageParts.place(of: answer))
        } catch let problem as Problem {
            return try addForm(call, PageParts.faults(problem), failure: problem)
        }
    }

    private static func change(_ call: PageCall) throws -> AdminResponse {
        let name = call.parameters["id"] ?? ""
        do {
            _ = try call.carryOut("changeHost", ["id": name], .map(members(call.form)))
            return .redirect("/hosts/\(name)")
        } catch let problem as Problem where problem.kind != .notFound {
            return try show(call, try HostRoutes.find(call.context), PageParts.faults(problem), failure: problem)
        }
    }

    private static func delete(_ call: PageCall) throws -> AdminResponse {
        do {
            _ = try call.carryOut("deleteHost", ["id": call.parameters["id"] ?? ""])
            return .redirect("/")
        } catch let problem as Problem where problem.kind != .notFound {
            return try show(call, try HostRoutes.find(call.context), failure: problem)
        }
    }
}
