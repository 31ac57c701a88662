import ConfigModel
import State

/// The fields of the forms that add and change a host.
///
/// They are the settings that most hosts need. All others are in the API, and stay as they are when a form is sent.
enum HostForm {
    private static let modes = [
        ("none", "none"), ("letsencrypt", "obtained from an issuer"), ("custom", "one of those stored here"),
    ]
    private static let versions = [("1.2", "1.2"), ("1.3", "1.3")]
    private static let flags: [(name: String, label: String)] = [
        (name: "enabled", label: "It is served"), ("force_https", "HTTP is redirected to HTTPS"),
        ("hsts_enabled", "Sends HSTS"),
    ]

    /// The names and labels of all fields.
    static let labels: [(name: String, label: String)] =
        [
            (name: "domain", label: "Domain"), ("aliases", "Other names, one a line"),
            ("upstreams", "Upstreams, one URL a line"), ("ssl_mode", "Certificate"),
            ("issuers", "Issuers, the first choice first"), ("ssl_cert_id", "Stored certificate"),
            ("tls_min_version", "Oldest TLS version"),
        ] + flags

    private static func label(_ name: String) -> String { labels.first { $0.name == name }?.label ?? name }

    /// `present` is the number of the host's own certificate; nil if it has none.
    static func fields(_ fields: PageFields, _ call: PageCall, present: Int64?) throws -> HTML {
        let boxes = flags.map { fields.box($0.label, $0.name) }
        let numbers = [("", "–")] + (try choices(call, present: present)).map { ("\($0.number)", $0.text) }
        let issuers = try issuers(call)
        return """
            \(fields.lines(label("aliases"), "aliases"))
            \(fields.lines(label("upstreams"), "upstreams"))
            \(fields.choice(label("ssl_mode"), "ssl_mode", modes))
            \(fields.lines(label("issuers"), "issuers"))
            <p class="quiet">\(issuers.isEmpty ? "There is no ACME issuer: the file declares them." : "Issuers: \(issuers.joined(separator: ", "))")</p>
            \(fields.choice(label("ssl_cert_id"), "ssl_cert_id", numbers))
            \(fields.choice(label("tls_min_version"), "tls_min_version", versions))
            \(boxes)
            """
    }

    // MARK: Choices

    private static let mostChoices = 500

    /// The certificates that a host may be given: all but those that were made for hosts.
    private static func choices(_ call: PageCall, present: Int64?) throws -> [(number: Int64, text: String)] {
        var found: [(number: Int64, text: String)] = []
        var query = CertificateQuery()
        query.limit = mostChoices
        while found.count < mostChoices {
            let part = try call.store.certificates(query)
            for each in part where NamedCertificate(record: each.certificate.record) != nil {
                let names = each.certificate.facts.domains
                let some = names.prefix(3).joined(separator: ", ") + (names.count > 3 ? ", …" : "")
                found.append((each.number, "\(each.certificate.name): \(some)"))
            }
            guard let last = part.last, part.count == query.limit else { break }
            query.after = last.number
        }
        if let present, !found.contains(where: { $0.number == present }),
            let own = try call.store.certificate(numbered: present)?.certificate,
            NamedCertificate(record: own.record) != nil
        {
            found.append((present, own.name))
        }
        return found
    }

    /// The names of the issuers that obtain certificates for hosts.
    private static func issuers(_ call: PageCall) throws -> [String] {
        try call.store.items(of: .issuer).compactMap { name, item in
            Issuer(record: item.record)?.settings is ACMEIssuer ? name : nil
        }
    }

    // MARK: What a form has at first

    static func newForm(_ call: PageCall) throws -> PageForm {
        let issuers = try issuers(call)
        let first = issuers.contains(Host.defaultIssuer) ? Host.defaultIssuer : issuers.first
        return PageForm(values: [
            "ssl_mode": first == nil ? "none" : "letsencrypt", "issuers": first ?? "", "enabled": "yes",
        ])
    }

    static func form(of view: HostView) -> PageForm {
        let settings = PlainValue.object(view.settings)
        func lines(_ key: String) -> String {
            guard case .list(let items)? = settings[key] else { return "" }
            return items.compactMap { item in
                switch item {
                case .string(let text): text
                default: item["url"].flatMap { if case .string(let text) = $0 { text } else { nil } }
                }
            }.joined(separator: "\n")
        }
        func text(_ key: String) -> String { if case .string(let text)? = settings[key] { text } else { "" } }
        func flag(_ key: String) -> String? { settings[key] == .bool(true) ? "yes" : nil }
        let mode = text("ssl_mode")
        let issuers = settings["issuers"] == nil ? text("issuer") : lines("issuers")
        return PageForm(values: [
            "aliases": lines("aliases"), "upstreams": lines("upstreams"), "ssl_mode": mode,
            "issuers": issuers.isEmpty && mode == "letsencrypt" ? Host.defaultIssuer : issuers,
            "ssl_cert_id": mode == "custom" ? view.certificateNumber.map { "\($0)" } ?? "" : "",
            "enabled": flag("enabled"), "force_https": flag("force_https"), "hsts_enabled": flag("hsts_enabled"),
            "tls_min_version": text("tls_min_version"),
        ])
    }

    // MARK: What a form has sent

    private static func mode(_ form: PageForm) -> String { form.text("ssl_mode") ?? "none" }

    /// The members that the form sets, for the API.
    static func members(_ form: PageForm) -> [(String, PlainValue)] {
        let number = mode(form) == "custom" ? form.text("ssl_cert_id").flatMap { Int($0) } : nil
        let issuers = mode(form) == "letsencrypt" ? form.lines("issuers") : []
        return [
            ("aliases", .list(form.lines("aliases").map(PlainValue.string))),
            ("upstreams", .list(form.lines("upstreams").map(PlainValue.string))), ("ssl_mode", .string(mode(form))),
            ("issuer", .null),
            ("issuers", [[], [Host.defaultIssuer]].contains(issuers) ? .null : .list(issuers.map(PlainValue.string))),
            ("ssl_cert_id", number.map(PlainValue.int) ?? .null),
            ("tls_min_version", form.text("tls_min_version").map(PlainValue.string) ?? .null),
        ] + flags.map { ($0.name, .bool(form[$0.name] != nil)) }
    }

    /// The faults that only the whole form shows, such as an HSTS box ticked for a host without a certificate. `view`
    /// is the host that the form changes; nil for a new host.
    static func faults(of form: PageForm, _ call: PageCall, _ view: HostView?) throws -> [(name: String, fault: String)]
    {
        var found: [(name: String, fault: String)] = []
        let (mode, before) = (mode(form), view.map(Self.form))
        let answersItself = view?.settings.contains { $0.key == "respond" && $0.value != .null } ?? false
        if form.lines("upstreams").isEmpty, !answersItself { found.append(("upstreams", "write at least one")) }
        if mode == "none" {
            for flag in ["force_https", "hsts_enabled"] where form[flag] != nil {
                found.append((flag, "this needs a certificate, and '\(label("ssl_mode"))' is 'none'"))
            }
        }
        let (number, issuers) = (form.text("ssl_cert_id"), form.lines("issuers"))
        if mode == "custom", number == nil {
            found += [("ssl_mode", "this needs a stored certificate"), ("ssl_cert_id", "choose one")]
        }
        // If the form already named this certificate, the user did not choose it now.
        if mode != "custom", let number, number != before?.text("ssl_cert_id") {
            found.append(("ssl_cert_id", "this is used only if '\(label("ssl_mode"))' is '\(modes[2].1)'"))
        }
        if mode == "letsencrypt", issuers.isEmpty {
            let areNone = try Self.issuers(call).isEmpty
            found.append(("issuers", areNone ? "there is none: the file declares them" : "write at least one"))
        }
        let first = try before ?? newForm(call)
        if mode != "letsencrypt", !issuers.isEmpty, issuers != first.lines("issuers") {
            found.append(("issuers", "these are used only if '\(label("ssl_mode"))' is '\(modes[1].1)'"))
        }
        return found
    }

    /// The fields in which a form differs from the host's present settings. `theirs` is the present setting, as a text
    /// for people.
    static func differences(_ form: PageForm, _ now: PageForm) -> [(name: String, theirs: String)] {
        labels.compactMap { name, _ -> (name: String, theirs: String)? in
            guard name != "domain", form.lines(name) != now.lines(name) else { return nil }
            if flags.contains(where: { $0.name == name }) { return (name, now[name] == nil ? "no" : "yes") }
            let theirs = now.lines(name).joined(separator: ", ")
            return (name, modes.first { $0.0 == theirs }?.1 ?? (theirs.isEmpty ? "empty" : theirs))
        }
    }
}
