import ConfigModel
import State

/// A configuration file as a table of plain values, independent of the program's model: for each item, the values of its
/// keys, by paths such as `timeouts.read`.
struct PlainFile {
    typealias Fields = [String: PlainValue]

    struct Item: Equatable {
        let kind: ItemKind
        var name: String
        /// The values that the file has.
        var fields: Fields

        var id: ItemID { ItemID(kind, name) }
    }

    /// The items in the order of the text.
    var items: [Item]

    /// What a plan must show of an item.
    enum Difference: Equatable {
        case created(Item)
        case deleted
        /// The paths whose values differ, with both values; `null` stands for none. Empty if another certificate must be
        /// issued for the same declaration.
        case changed([String: Values])
    }

    struct Values: Equatable {
        let before: PlainValue
        let after: PlainValue
    }

    // MARK: What the values mean

    /// The values of keys that the file leaves out.
    private static let defaults: [String: Fields] = [
        "gateway": [
            "http": .list([.string(":8080")]), "https": .list([.string(":8443")]), "admin": .string("127.0.0.1:9443"),
            "cache_dir": .string(".cache/ssl"), "trusted_proxies": .list([]),
            "client_address": .string("x-forwarded-for"), "limits.header_bytes": .string("32KiB"),
            "limits.header_fields": .int(1000), "limits.body_bytes": .string("10MiB"),
            "limits.body_buffer_bytes": .string("64KiB"), "limits.body_min_rate": .string("240B"),
            "limits.handshake_timeout": .string("10s"), "limits.request_header_timeout": .string("10s"),
            "limits.body_progress_timeout": .string("30s"), "limits.idle_timeout": .string("1m"),
            "limits.connections": .int(50000), "access_log.to": .string("none"), "access_log.format": .string("json"),
        ],
        "alerts": ["expiry": .list([.string("30d"), .string("7d"), .string("1d")])],
        "identity": ["verify_chain": .bool(true), "required_sans": .list([]), "allow_expired": .bool(false)],
        "issuer acme": [
            "challenge": .string("http-01"), "key_type": .string("ecdsa-p256"), "on_demand_wait": .string("10s"),
        ],
        "issuer cloudflare_origin": [
            "auth_method": .string("api_token"), "request_type": .string("origin-ecc"),
            "requested_validity": .int(5475), "revoke_replaced": .bool(false), "on_removal": .string("keep"),
            "base_url": .string("https://api.cloudflare.com/client/v4"),
        ],
        "issuer vault_pki": ["mount": .string("pki"), "key_type": .string("ecdsa-p256")],
        "certificate custom": ["allow_expired": .bool(false)],
        "certificate": ["auto_renew": .bool(true)],
        "edge_certificate": [
            "certificate_authority": .string("lets_encrypt"), "validation_method": .string("txt"),
            "validity_days": .int(90), "cloudflare_branding": .bool(false), "wait": .string("1m"),
            "on_removal": .string("delete"), "base_url": .string("https://api.cloudflare.com/client/v4"),
        ],
        "host": [
            "aliases": .list([]), "enabled": .bool(true), "upstreams": .list([]), "balance": .string("round_robin"),
            "ssl_mode": .string("none"), "issuers": .list([]), "force_https": .bool(false),
            "tls_min_version": .string("1.2"), "preserve_host": .bool(true), "upgrade": .list([]),
            "headers.request.remove": .list([]), "headers.response.remove": .list([]),
            "timeouts.connect": .string("5s"), "timeouts.read": .string("1m"), "timeouts.write": .string("1m"),
            "timeouts.tunnel": .string("1h"),
        ],
    ]

    /// The values of keys that the file leaves out, in objects that the file may leave out whole.
    private static let groups: [String: Fields] = [
        "hsts": [
            "enabled": .bool(true), "max_age": .int(31_536_000), "include_subdomains": .bool(false),
            "preload": .bool(false),
        ],
        "health_check": ["path": .string("/"), "interval": .string("10s"), "timeout": .string("5s")],
        "respond": ["status": .int(200), "body": .string("")],
    ]

    /// The values that the file leaves out.
    private static func defaults(of item: Item) -> Fields {
        let type = (item.fields["type"] ?? item.fields["source"]).flatMap(\.plainText).map { " \($0)" } ?? ""
        let kind = item.kind.rawValue
        var all = defaults["\(kind)\(type)"] ?? defaults[kind] ?? [:]
        for (group, values) in groups where item.fields.keys.contains(where: { $0.hasPrefix("\(group).") }) {
            for (key, value) in values { all["\(group).\(key)"] = value }
        }
        return all
    }

    /// All values of an item, with those that the file leaves out.
    private static func effective(_ item: Item) -> Fields { defaults(of: item).merging(item.fields) { $1 } }

    // MARK: What differs

    /// The names of the issuers of a certificate, or of a host with a certificate of its own.
    private static func issuers(of item: Item) -> [String] {
        if let issuer = item.fields["issuer"]?.plainText { return [issuer] }
        if case .list(let names)? = item.fields["issuers"] { return names.compactMap(\.plainText) }
        return item.kind == .host ? ["letsencrypt"] : []
    }

    /// The certificates of hosts, each under its host's name. A disabled host needs none.
    func hostCertificates(andOf disabled: Set<String> = []) -> [Item] {
        items.filter { item in
            item.kind == .host && item.fields["ssl_mode"] == .string("letsencrypt")
                && (item.fields["enabled"] != .bool(false) || disabled.contains(item.name))
        }.map { host in
            var domains = [PlainValue.string(host.name)]
            if case .list(let aliases)? = host.fields["aliases"] { domains += aliases }
            return Item(
                kind: .certificate, name: host.name,
                fields: [
                    "issuers": .list(Self.issuers(of: host).map(PlainValue.string)), "domains": .list(domains),
                ])
        }
    }

    /// Whether a plan may order the item. The certificate of a disabled host stays as it is, although its record may
    /// change.
    func isWanted(_ id: ItemID) -> Bool {
        id.kind != .certificate || items.contains { $0.id == id } || hostCertificates().contains { $0.id == id }
    }

    private func directories(of item: Item) -> [String] {
        Self.issuers(of: item).compactMap { name in
            items.first { $0.kind == .issuer && $0.name == name }?.fields["directory"]?.plainText
        }
    }

    /// What a plan from this file's state to another file must show.
    func differences(to new: PlainFile) -> [ItemID: Difference] {
        let former = items + hostCertificates()
        let next = new.items + new.hostCertificates(andOf: Set(hostCertificates().map(\.name)))
        let before = Dictionary(uniqueKeysWithValues: former.map { ($0.id, $0) })
        let after = Dictionary(uniqueKeysWithValues: next.map { ($0.id, $0) })
        var found: [ItemID: Difference] = [:]
        for id in Set(before.keys).union(after.keys) {
            switch (before[id], after[id]) {
            case (let item?, nil): found[item.id] = .deleted
            case (nil, let item?): found[item.id] = .created(item)
            case (let old?, let item?):
                let (left, right) = (Self.effective(old), Self.effective(item))
                let paths = Set(left.keys).union(right.keys).filter { left[$0] != right[$0] }
                if !new.isWanted(id) {
                    continue
                } else if !paths.isEmpty {
                    let values = paths.map { ($0, Self.shown($0, left[$0], right[$0])) }
                    found[id] = .changed(Dictionary(uniqueKeysWithValues: values))
                } else if id.kind == .certificate, let issued = directories(of: old).first,
                    !new.directories(of: item).contains(issued),
                    new.isWanted(id)
                {
                    // The CA that issued it is no longer among its issuers.
                    found[id] = .changed([:])
                }
            case (nil, nil): break
            }
        }
        return found
    }

    private static func shown(_ path: String, _ before: PlainValue?, _ after: PlainValue?) -> Values {
        guard path.hasSuffix(".inline") else { return Values(before: before ?? .null, after: after ?? .null) }
        let changed = PlainValue.string(before == nil ? "(hidden)" : "(hidden, changed)")
        return Values(before: before == nil ? .null : .string("(hidden)"), after: after == nil ? .null : changed)
    }

    /// Whether a plan shows a new item rightly: each value that it shows is the item's, and it shows each value that is
    /// not a default.
    static func isShown(_ item: Item, by shown: Fields) -> Bool {
        let (all, usual) = (effective(item), defaults(of: item))
        let areRight = shown.allSatisfy { path, value in
            path.hasSuffix(".inline") ? all[path] != nil && value == .string("(hidden)") : value == all[path]
        }
        return areRight && item.fields.allSatisfy { $0.value == usual[$0.key] || shown[$0.key] != nil }
    }
}

extension PlainValue {
    var plainText: String? { if case .string(let text) = self { text } else { nil } }
}
