import ConfigModel
import Operations
import PKI
import State

/// How a host looks in the API: as in the file, except for two things. Each setting of the file's `hsts` is a member of
/// the host itself, such as `hsts_max_age`. And the host refers to its certificate by number, not by name.
enum HostBody {
    static let certificateNumber = "ssl_cert_id"
    static let chain = "ssl_cert_pem"
    static let key = "ssl_key_pem"
    private static let policy = "hsts"
    private static let certificate = "certificate"
    private static let policyMembers = ["enabled", "max_age", "include_subdomains", "preload"]

    /// The members that a host may have, sorted. Three keys of the file are left out: those that the API has other members
    /// for, and short or former forms.
    private static let memberNames =
        (Host.keys.filter { ![certificate, policy, "issuer", "ca_file"].contains($0) }
        + policyMembers.map { "\(policy)_\($0)" } + [certificateNumber, chain, key]).sorted()

    /// What the API shows in place of a value that may be a secret.
    private static let hidden = "(hidden)"

    // MARK: From the file

    /// The settings of a host in the form of the API, without the certificate. `settings` is the host's record.
    static func members(of settings: PlainValue) -> [PlainValue.Entry] {
        guard case .object(let entries) = settings else { return [] }
        return entries.flatMap { entry -> [PlainValue.Entry] in
            switch entry.key {
            case certificate: return []
            case policy:
                guard case .object(var members) = entry.value else { return [] }
                // In the file, the key `hsts` enables the policy. The API has `hsts_enabled` for this.
                if entry.value["enabled"] == nil { members.append(PlainValue.Entry("enabled", .bool(true))) }
                return members.map { PlainValue.Entry("\(policy)_\($0.key)", $0.value) }
            default: return [entry]
            }
        }
    }

    /// A host's settings for an answer of the API, without the certificate. Settings that the file leaves out have
    /// their defaults, and `(hidden)` replaces the values of headers that the host sets for its upstreams.
    static func shown(_ host: Host) -> [PlainValue.Entry] {
        var host = host.withoutUpstreamValues
        let hasPolicy = host.hsts != nil
        host.hsts = host.hsts ?? HSTS()
        if !hasPolicy { host.hsts?.enabled = false }
        return members(of: host.record(.complete))
    }

    // MARK: To the file

    /// A host that a client has sent.
    struct Sent {
        /// The settings in the form that they have in the file.
        var settings: PlainValue
        /// The certificate that the client has sent with the host, with its chain and key in PEM. Nil if there is none.
        var certificate: (chain: String, key: String)?
    }

    /// Reads a host that a client has sent. `certificate` returns the certificate with a number, or nil if no certificate
    /// in force has this number.
    ///
    /// - Throws: A `Problem` that lists all faults, or an error of `certificate`.
    static func read(_ value: PlainValue, certificate stored: (Int64) throws -> StoredCertificate?) throws -> Sent {
        guard case .object(let entries) = value else {
            throw Problem(.invalid, "Send a JSON object.", errors: [(.pointer(""), "must be an object")])
        }
        var errors: [(place: Problem.Place, detail: String)] = []
        var settings: [PlainValue.Entry] = []
        var policyEntries: [PlainValue.Entry] = []
        var texts: [String: String] = [:]
        if value["domain"] ?? .null == .null { errors.append((.pointer("/domain"), "is missing")) }
        for entry in entries where entry.value != .null {
            let pointer = Problem.Place.pointer("/\(entry.key)")
            switch entry.key {
            case policy:
                errors.append((.pointer("/hsts"), "write hsts_enabled, hsts_max_age and so on"))
            case certificate: errors.append((.pointer("/certificate"), "write ssl_cert_id"))
            case certificateNumber:
                switch try name(ofCertificate: entry.value, stored) {
                case .success(let name): settings.append(PlainValue.Entry(certificate, .string(name)))
                case .failure(let fault): errors.append((pointer, fault.reason))
                }
            case chain, key:
                guard case .string(let text) = entry.value else {
                    errors.append((pointer, "must be a text in PEM"))
                    continue
                }
                texts[entry.key] = text
            case let name where policyMembers.contains { name == "\(policy)_\($0)" }:
                policyEntries.append(PlainValue.Entry(String(name.dropFirst(policy.count + 1)), entry.value))
            default:
                if Host.keys.contains(entry.key) { settings.append(entry) } else { errors.append(unknown(entry.key)) }
            }
        }
        if value["ssl_mode"] == .string(Host.SSLMode.custom.rawValue), texts.isEmpty,
            value[certificateNumber] ?? .null == .null
        {
            errors.append((.pointer("/ssl_mode"), "custom needs \(certificateNumber), or \(chain) and \(key)"))
        }
        if !policyEntries.isEmpty {
            if !policyEntries.contains(where: { $0.key == "enabled" }) {
                policyEntries.append(PlainValue.Entry("enabled", .bool(false)))
            }
            settings.append(PlainValue.Entry(policy, .object(policyEntries)))
        }
        for direction in ["request", "response"] where hidesValues(settings, direction) {
            errors.append(
                (.pointer("/headers/\(direction)/set"), "'\(hidden)' stands for a value; leave it out to keep it"))
        }
        var sent = Sent(settings: .object(settings))
        switch (texts[chain], texts[key]) {
        case (let chain?, let key?): sent.certificate = (chain, key)
        case (nil, nil): break
        case (.some, nil): errors.append((.pointer("/\(key)"), "is missing: both are needed"))
        case (nil, .some): errors.append((.pointer("/\(chain)"), "is missing: both are needed"))
        }
        if sent.certificate != nil, sent.settings[certificate] != nil {
            errors.append(
                (.pointer("/\(certificateNumber)"), "a certificate is given by its id or its texts, not both"))
        }
        guard errors.isEmpty else { throw Problem(.invalid, "The host has faults.", errors: errors) }
        return sent
    }

    private struct Fault: Error {
        let reason: String
    }

    /// The name of the certificate whose number a client has sent, or why no host can be given it.
    private static func name(
        ofCertificate number: PlainValue, _ stored: (Int64) throws -> StoredCertificate?
    ) throws -> Result<String, Fault> {
        guard case .int(let number) = number else {
            return .failure(Fault(reason: "must be a number: a certificate's id"))
        }
        guard let found = try stored(Int64(number)) else {
            return .failure(Fault(reason: "there is no certificate in force with this id"))
        }
        guard NamedCertificate(record: found.record) != nil else {
            return .failure(Fault(reason: "this certificate is made for host '\(found.name)' alone"))
        }
        return .success(found.name)
    }

    private static func unknown(_ name: String) -> (place: Problem.Place, detail: String) {
        guard let near = Suggestion.nearest(to: name, in: memberNames) else {
            let place = HarmlessText.pointer(toMember: name)
            return (.pointer(place), "is unknown; there are: \(memberNames.joined(separator: ", "))")
        }
        return (.pointer("/\(name)"), "is unknown; did you mean '\(near)'?")
    }

    /// Whether the client sends `(hidden)` as the value of a header. It has probably copied the host from an answer of
    /// the API, so this word would overwrite the true value.
    private static func hidesValues(_ settings: [PlainValue.Entry], _ direction: String) -> Bool {
        let set = PlainValue.object(settings)["headers"]?[direction]?["set"]
        guard case .object(let fields)? = set else { return false }
        return fields.contains { $0.value == .string(hidden) }
    }

    /// Returns the settings of a host with `name` as the name of its certificate.
    static func use(_ name: String, in settings: PlainValue) -> PlainValue {
        settings.merged(with: .map([(certificate, .string(name))]))
    }

    /// Converts the JSON pointer to a setting of a host in the file into the pointer to the same setting in the API.
    /// `sendsCertificate` says whether the client has sent a certificate in PEM instead of a certificate's number.
    static func pointer(_ pointer: String, sendsCertificate: Bool) -> String {
        let parts = pointer.split(separator: "/", omittingEmptySubsequences: true)
        switch parts.first.map(String.init) {
        case certificate: return sendsCertificate ? "/\(chain)" : "/\(certificateNumber)"
        case policy: return "/\(policy)_\(parts.count > 1 ? String(parts[1]) : "enabled")"
        default: return pointer
        }
    }

    /// Converts a message about a host as the file has it to one about a host as the API has it. `pointer` is the
    /// pointer in the file's host.
    static func message(_ message: String, at pointer: String) -> String {
        guard pointer.hasPrefix("/\(policy)/") else {
            return message.replacing("rename the one under 'certificates'", with: "store that one under another name")
        }
        return message.replacing(/\b(max_age|include_subdomains|preload)\b/) { "\(policy)_\($0.output.1)" }
    }

    // MARK: Description

    static let schema: PlainValue = {
        func member(_ name: String, _ type: String, _ summary: String) -> (String, PlainValue) {
            (name, .map([("type", .string(type)), ("description", .string(summary))]))
        }
        func list(_ name: String, _ summary: String) -> (String, PlainValue) {
            (
                name,
                .map([
                    ("type", .string("array")), ("items", .map([("type", .string("string"))])),
                    ("description", .string(summary)),
                ])
            )
        }
        return .map([
            ("type", .string("object")),
            ("description", .string("A host. Besides these members it may have all that a host of aegis.yaml has")),
            (
                "properties",
                .map([
                    member("domain", "string", "Its name; *. in front stands for one label. It can't change"),
                    list("aliases", "Other names of it"), list("upstreams", "The servers to pass its requests to"),
                    member("enabled", "boolean", "Whether it is served at all"),
                    (
                        "ssl_mode",
                        .map([("enum", .list(["none", "letsencrypt", "custom"].map(PlainValue.string)))])
                    ),
                    member(certificateNumber, "integer", "The number of its certificate, with ssl_mode custom"),
                    member(chain, "string", "A new certificate for it and its chain, in PEM"),
                    member(key, "string", "The private key of the new certificate, in PEM"),
                    member("force_https", "boolean", "Whether plain HTTP is redirected to HTTPS"),
                    member("hsts_enabled", "boolean", "Whether HSTS is sent (RFC 6797)"),
                    member("hsts_max_age", "integer", "How long browsers follow it, in seconds"),
                    member("hsts_include_subdomains", "boolean", "Whether it holds for all subdomains too"),
                    member("hsts_preload", "boolean", "Whether browsers may put the host on their HSTS preload lists"),
                    ("tls_min_version", .map([("enum", .list(["1.2", "1.3"].map(PlainValue.string)))])),
                ])
            ),
        ])
    }()
}

extension Host {
    /// The host without the values of the headers that it sets on the way to its upstreams. They may be credentials,
    /// which its clients never see.
    var withoutUpstreamValues: Host {
        var host = self
        host.headers.request.set = host.headers.request.set.map(\.hidden)
        return host
    }
}
