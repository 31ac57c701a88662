import ConfigModel
import State

/// Makes files, and changes them as operators do: items are added, removed, renamed, moved to another issuer, disabled,
/// and written in another way; settings are added, changed and removed.
struct PlainFileGenerator {
    var numbers: SeededNumbers
    /// Makes names that no other item has had.
    private var count = 0

    init(seed: UInt64) { numbers = SeededNumbers(seed: seed) }

    private mutating func next() -> Int {
        count += 1
        return count
    }

    private static let kinds: [ItemKind] = [
        .host, .host, .certificate, .edgeCertificate, .issuer, .vault, .identity, .alerts,
    ]

    // MARK: Files

    mutating func file() -> PlainFile {
        var file = PlainFile(items: [PlainFile.Item(kind: .gateway, name: "gateway", fields: [:])])
        file.items.append(item(.vault, "main", in: file))
        var issuer = acme(named: "letsencrypt")
        issuer.name = "letsencrypt"
        file.items.append(issuer)
        let kinds: [ItemKind] = [.vault, .identity, .issuer, .issuer, .issuer, .alerts, .certificate, .certificate]
        for kind in kinds where !numbers.once(in: 3) { add(kind, to: &file) }
        if numbers.once(in: 2) { add(.edgeCertificate, to: &file) }
        for _ in 0..<Int.random(in: 0...5, using: &numbers) { add(.host, to: &file) }
        for index in file.items.indices { for _ in 0..<2 { set(index, of: &file) } }
        return file
    }

    /// The file with some changes, or with none.
    mutating func changed(_ old: PlainFile) -> PlainFile {
        var file = old
        for _ in 0..<Int.random(in: 0...4, using: &numbers) {
            switch Int.random(in: 0..<10, using: &numbers) {
            case 0: add(Self.kinds.randomElement(using: &numbers) ?? .host, to: &file)
            case 1: remove(from: &file)
            case 2: rename(in: &file)
            case 3: move(in: &file)
            case 4: disable(in: &file)
            case 5: file.items.shuffle(using: &numbers)
            case 6: unset(in: &file)
            default: set(Int.random(in: file.items.indices, using: &numbers), of: &file)
            }
        }
        return file
    }

    // MARK: Items

    private mutating func add(_ kind: ItemKind, to file: inout PlainFile) {
        guard !kind.isSingle || !file.items.contains(where: { $0.kind == kind }) else { return }
        let name =
            switch kind {
            case .host: "h\(next()).example.com"
            case .gateway, .alerts, .node: kind.rawValue
            default: "n\(next())"
            }
        file.items.append(item(kind, name, in: file))
    }

    private mutating func item(_ kind: ItemKind, _ name: String, in file: PlainFile) -> PlainFile.Item {
        let number = next()
        var fields: PlainFile.Fields = [:]
        switch kind {
        case .gateway, .node: break
        case .alerts:
            fields = ["webhook.url": .string("https://a\(number).example.com"), "webhook.token.inline": secret()]
        case .vault:
            fields = [
                "address": .string("https://v\(number).example.com"), "auth.method": .string("token"),
                "auth.token.inline": secret(),
            ]
        case .identity:
            fields = [
                "source": .string("file"), "cert_file": .string("c\(number).pem"),
                "key_file": .string("k\(number).key"),
            ]
        case .issuer:
            switch Int.random(in: 0..<4, using: &numbers) {
            case 0: fields = ["type": .string("local_ca")]
            case 1:
                fields = ["type": .string("cloudflare_origin"), "api_token.inline": secret(), "zone_id": zone()]
            case 2:
                guard let vault = self.name(of: .vault, in: file) else { return acme(named: name) }
                fields = ["type": .string("vault_pki"), "vault": .string(vault), "role": .string("r\(number)")]
            default: return acme(named: name)
            }
        case .certificate:
            let issuer = file.items.filter { $0.kind == .issuer && $0.fields["type"] == .string("local_ca") }
                .randomElement(using: &numbers)
            if let issuer, numbers.once(in: 2) {
                fields = ["issuer": .string(issuer.name), "domains": .list([.string("c\(number).internal")])]
            } else {
                fields = [
                    "source": .string("custom"), "cert.file": .string("c\(number).pem"),
                    "key.file": .string("c\(number).key"),
                ]
            }
        case .edgeCertificate:
            fields = [
                "name": .string(name), "zone_id": zone(), "api_token.inline": secret(),
                "hosts": .list([.string("e\(number).example.com")]),
            ]
        case .host:
            fields = ["domain": .string(name), "upstreams": .list([.string("http://10.0.0.\(number % 250):3000")])]
            switch Int.random(in: 0..<4, using: &numbers) {
            case 0, 1:
                if file.items.contains(where: { $0.name == "letsencrypt" }) {
                    fields["ssl_mode"] = .string("letsencrypt")
                }
            case 2:
                let custom = file.items.filter { $0.fields["source"] == .string("custom") }.randomElement(
                    using: &numbers)
                if let custom {
                    fields["ssl_mode"] = .string("custom")
                    fields["certificate"] = .string(custom.name)
                }
            default: break
            }
        }
        return PlainFile.Item(kind: kind, name: name, fields: fields)
    }

    private mutating func acme(named name: String) -> PlainFile.Item {
        PlainFile.Item(
            kind: .issuer, name: name,
            fields: ["type": .string("acme"), "directory": .string("https://ca\(next()).example.com/dir")])
    }

    private mutating func name(of kind: ItemKind, in file: PlainFile) -> String? {
        file.items.filter { $0.kind == kind }.randomElement(using: &numbers)?.name
    }

    private mutating func secret() -> PlainValue { .string("canary-\(next())") }

    private mutating func zone() -> PlainValue {
        .string(String(repeating: "\(Int.random(in: 0...9, using: &numbers))", count: 32))
    }

    /// The keys whose values name an item of a kind.
    private static func references(to kind: ItemKind) -> [String] {
        switch kind {
        case .issuer: ["issuer", "issuers"]
        case .vault: ["vault"]
        case .certificate: ["certificate"]
        default: []
        }
    }

    private static func refers(_ item: PlainFile.Item, to other: PlainFile.Item) -> Bool {
        if other.name == "letsencrypt", item.fields["ssl_mode"] == .string("letsencrypt"), item.fields["issuers"] == nil
        {
            return true
        }
        return references(to: other.kind).contains { key in
            switch item.fields[key] {
            case .list(let names): names.contains(.string(other.name))
            case let value: value == .string(other.name)
            }
        }
    }

    private mutating func remove(from file: inout PlainFile) {
        let free = file.items.indices.filter { index in
            let item = file.items[index]
            return item.kind != .gateway && !file.items.contains { Self.refers($0, to: item) }
        }
        if let index = free.randomElement(using: &numbers) { file.items.remove(at: index) }
    }

    /// Gives an item another name, also where other items name it.
    private mutating func rename(in file: inout PlainFile) {
        let named = file.items.indices.filter { !file.items[$0].kind.isSingle && file.items[$0].name != "letsencrypt" }
        guard let index = named.randomElement(using: &numbers) else { return }
        let former = file.items[index]
        let name = former.kind == .host ? "h\(next()).example.com" : "n\(next())"
        file.items[index].name = name
        if former.kind == .host { file.items[index].fields["domain"] = .string(name) }
        if former.kind == .edgeCertificate { file.items[index].fields["name"] = .string(name) }
        let (old, new) = (PlainValue.string(former.name), PlainValue.string(name))
        for other in file.items.indices {
            for key in Self.references(to: former.kind) {
                switch file.items[other].fields[key] {
                case old: file.items[other].fields[key] = new
                case .list(let names): file.items[other].fields[key] = .list(names.map { $0 == old ? new : $0 })
                default: break
                }
            }
        }
    }

    /// Moves a host to other issuers.
    private mutating func move(in file: inout PlainFile) {
        let hosts = file.items.indices.filter { file.items[$0].fields["ssl_mode"] == .string("letsencrypt") }
        let issuers = file.items.filter { $0.fields["type"] == .string("acme") }.map { PlainValue.string($0.name) }
        guard let index = hosts.randomElement(using: &numbers), !issuers.isEmpty else { return }
        let number = Int.random(in: 1...issuers.count, using: &numbers)
        file.items[index].fields["issuers"] = .list(Array(issuers.shuffled(using: &numbers).prefix(number)))
    }

    private mutating func disable(in file: inout PlainFile) {
        guard let index = file.items.indices.filter({ file.items[$0].kind == .host }).randomElement(using: &numbers)
        else { return }
        let isEnabled = file.items[index].fields["enabled"] != .bool(false)
        file.items[index].fields["enabled"] = isEnabled ? .bool(false) : numbers.once(in: 2) ? .bool(true) : nil
    }

    // MARK: Settings

    /// Sets a key that the item need not have, in some cases to its default.
    private mutating func set(_ index: Int, of file: inout PlainFile) {
        let item = file.items[index]
        guard let (path, values) = settings(of: item).randomElement(using: &numbers),
            let value = values.randomElement(using: &numbers)
        else { return }
        file.items[index].fields[path] = value
    }

    private mutating func unset(in file: inout PlainFile) {
        let set = file.items.indices.filter { !optional(file.items[$0]).isEmpty }
        guard let index = set.randomElement(using: &numbers),
            let path = optional(file.items[index]).randomElement(using: &numbers)
        else { return }
        file.items[index].fields[path] = nil
    }

    /// The keys that items must have.
    private static let required: Set<String> = [
        "cert.file", "auth.token.inline", "api_token.inline", "upstreams", "directory", "domains",
    ]

    private mutating func optional(_ item: PlainFile.Item) -> [String] {
        settings(of: item).map(\.0).filter { item.fields[$0] != nil && !Self.required.contains($0) }
    }

    private mutating func settings(of item: PlainFile.Item) -> [(String, [PlainValue])] {
        let number = Int.random(in: 1...50, using: &numbers)
        func texts(_ values: String...) -> [PlainValue] { values.map(PlainValue.string) }
        func list(_ values: [String]) -> PlainValue { .list(values.map(PlainValue.string)) }
        func some(_ values: String...) -> [PlainValue] {
            [list(values), list(values.reversed()), list(Array(values.dropFirst())), list(Array(values.dropLast()))]
        }
        let flags: [PlainValue] = [.bool(true), .bool(false)]
        switch item.kind {
        case .gateway:
            return [
                ("http", some(":80", "127.0.0.\(number):8080")),
                ("cache_dir", texts("cache", ".cache/ssl", "c/\(number)")),
                ("trusted_proxies", some("10.\(number).0.0/16", "198.51.100.7/32", "192.0.2.\(number)/32")),
                ("client_address", texts("x-forwarded-for", "x-real-ip", "forwarded")),
                ("limits.header_bytes", texts("32KiB", "64KiB", "16KiB")), ("workers", [.int(number), .int(4)]),
                ("limits.connections", [.int(50000), .int(number * 1000)]),
                ("limits.idle_timeout", texts("1m", "\(number)s")),
                ("access_log.to", texts("stdout", "none", "/var/log/\(number)")),
            ]
        case .alerts: return [("expiry", some("20d", "\(number + 60)m", "2d")), ("webhook.token.inline", [secret()])]
        case .vault: return [("namespace", texts("ops", "n\(number)/x")), ("auth.token.inline", [secret()])]
        case .identity:
            return [
                ("ca_file", texts("ca.pem", "ca\(number).pem")), ("allow_expired", flags),
                ("required_sans", some("*.internal", "s\(number).internal")),
            ]
        case .issuer:
            switch item.fields["type"] {
            case .string("acme"):
                return [
                    ("email", texts("ops@example.com", "o\(number)@example.com")),
                    ("key_type", texts("ecdsa-p256", "rsa-2048")),
                    ("directory", texts("https://ca\(number).example.com/dir")),
                    ("profile", texts("short", "p\(number)")),
                    ("on_demand_wait", texts("10s", "\(number)s")), ("challenge", texts("http-01", "tls-alpn-01")),
                ]
            case .string("cloudflare_origin"):
                return [
                    ("api_token.inline", [secret()]), ("requested_validity", [.int(90), .int(5475), .int(365)]),
                    ("revoke_replaced", flags), ("on_removal", texts("keep", "revoke")),
                ]
            case .string("vault_pki"):
                return [("mount", texts("pki", "p\(number)")), ("ttl", texts("1h", "\(number + 60)m"))]
            default: return []
            }
        case .certificate where item.fields["source"] != nil:
            return [("allow_expired", flags), ("cert.file", texts("x.pem", "x\(number).pem"))]
        case .certificate:
            return [
                ("auto_renew", flags), ("key_type", texts("ecdsa-p384", "rsa-3072")),
                ("domains", some("a.internal", "b\(number).internal", "c.internal").filter { $0 != .list([]) }),
            ]
        case .edgeCertificate:
            return [
                ("wait", texts("1m", "\(number)s")), ("api_token.inline", [secret()]),
                ("on_removal", texts("keep", "delete")),
                ("certificate_authority", texts("google", "lets_encrypt")),
            ]
        case .host:
            let name = item.name
            let isEncrypted = item.fields["ssl_mode"] != nil
            return [
                ("aliases", some("a.\(name)", "b\(number).\(name)", "c.\(name)")),
                ("balance", texts("ip_hash", "round_robin")),
                (
                    "upstreams",
                    some("http://10.1.0.\(number):3000", "http://10.1.1.1:3000", "http://10.1.1.2:3000").filter {
                        $0 != .list([])
                    }
                ),
                ("tls_min_version", texts("1.2", "1.3")), ("preserve_host", flags),
                ("upgrade", some("example/1", "x/\(number)")),
                ("timeouts.read", texts("1m", "\(number)s")), ("timeouts.tunnel", texts("1h", "2h")),
                ("health_check.path", texts("/", "/health/\(number)")),
                ("limits.body_bytes", texts("1MiB", "\(number)MiB")),
                ("headers.response.set.X-A", texts("a", "long \(String(repeating: "text ", count: 30))\(number) end")),
                ("headers.request.set.X-B", texts("b", "é\(number)")), ("headers.request.remove", some("Via", "X-C")),
            ]
                + (isEncrypted
                    ? [
                        ("hsts.max_age", [.int(300), .int(number), .int(31_536_000)]),
                        ("hsts.include_subdomains", flags),
                        ("force_https", flags),
                    ] : [])
        case .node: return []
        }
    }
}
