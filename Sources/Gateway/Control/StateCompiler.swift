import ConfigModel
import Issuers
import Materials
import PKI
import State
import SystemPackage

/// Converts changes of the state into updates for the workers, and keeps the data that later changes need.
///
/// If an item can't be used, such as a certificate whose key can't be opened, its previous version stays in force and
/// the reason is added to `problems`.
struct StateCompiler {
    private(set) var settings = GatewaySettings()
    private(set) var alerts = AlertSettings()
    var upstreams = UpstreamRegistry()
    /// The health checks, by the upstream's number. If several hosts share an upstream, the check of the host whose
    /// name sorts first is used.
    private(set) var healthChecks: [UpstreamNumber: HealthTarget] = [:]
    private var checksByHost: [UpstreamNumber: [String: HealthTarget]] = [:]
    /// The certificates for Cloudflare's edge, by name. Cloudflare serves them, not the gateway.
    private(set) var edgeCertificates: [String: EdgeCertificate] = [:]
    private(set) var certificates = NamedTable<CertificateEntry>()
    /// The hosts whose `client_auth` accepts expired certificates.
    private(set) var hostsAllowingExpired: Set<String> = []
    /// The earliest expiry of all certificates, in seconds since 1970. Nil if it must be computed again.
    private var soonestEnd: Int64?
    /// The certificates that the gateway orders for hosts with `ssl_mode: letsencrypt`. The key is the certificate's
    /// name, which is the host's domain.
    private(set) var hostCertificates: [String: ManagedCertificate] = [:]
    private(set) var issuers: [String: Issuer] = [:]
    /// The items whose latest version can't be used, with the reason.
    var problems: [ItemID: String] = [:]
    /// The names of certificates that are missing from the state although hosts use them. These certificates stay in
    /// force.
    private var lost: Set<String> = []
    var siteCount: Int { sites.count }

    /// Relative paths of the configuration start at this directory.
    var directory: FilePath {
        get { materials.directory }
        set { materials.directory = newValue }
    }
    var materials = PeerMaterials()
    /// The Vaults of the configuration, by name.
    var vaults: [String: VaultServer] = [:]
    /// The settings of this node; nil if the configuration has none.
    var node: NodeSettings?
    /// This machine's name. It is the node's ID unless the configuration gives one.
    let machine: String
    var clientTrusts = ClientTrusts()
    /// Development identities, held until the node's ID is known.
    var heldIdentities: [NamedIdentity] = []
    private(set) var sites = NamedTable<Site>()
    private var challenges: Set<String> = []
    private var shared = CertificateInternTable()

    /// The largest number of certificates in one change that are parsed before they are put in force. In a larger
    /// change, such as the first load, the further certificates are not parsed.
    private static let fullChecks = 64

    /// A host's health check. `host` is sent in the Host field of the check's requests.
    struct HealthTarget {
        let check: HealthCheck
        let host: DomainName
        /// Whether upstreams get requests of every kind by HTTP/2.
        let usesHTTP2: Bool
    }

    init(machine: String = "") { self.machine = machine }

    /// Compiles the changes that `tell` reports one by one. If `tell` throws, some changes may already be compiled.
    ///
    /// With `all`, `tell` reports the whole state. Items that `tell` does not report are removed.
    ///
    /// - Returns: The value that `tell` returns.
    mutating func compile<Told>(
        _ sealer: Sealer, _ update: inout TableUpdate, all: Bool = false,
        storedIdentity: @escaping (String) -> (declaration: [UInt8], identity: Identity)? = { _ in nil },
        _ tell: ((StateChange) -> Void) throws -> Told
    ) rethrows -> Told {
        materials.stored = storedIdentity
        defer { materials.stored = { _ in nil } }
        // A full read makes the entries anew. Those that stay hold what they share themselves, so the new table begins
        // empty.
        if all { shared = CertificateInternTable() }
        let preparation = ChangePreparation(sealer: sealer, shared: shared)
        var batches = Batches<(change: StateChange, isParsed: Bool), PreparedChange> {
            preparation.prepare($0.change, parsesCertificate: $0.isParsed)
        }
        var certificates = 0
        var (items, challenges) = all ? (knownItems, self.challenges) : ([], [])
        let told = try tell { change in
            switch change {
            case .item(let id, _): if all { items.remove(id) }
            case .certificate(let certificate):
                certificates += 1
                if all { items.remove(ItemID(.certificate, certificate.name)) }
            case .challenge(let challenge): challenges.remove(challenge.token)
            case .deleted, .challengeDeleted: break
            }
            batches.add((change, certificates <= Self.fullChecks)) { apply($0, &update) }
        }
        batches.finish { apply($0, &update) }
        declareHeldIdentities(&update)
        let missing = Set(items.lazy.filter { $0.kind == .certificate }.map(\.name)).union(lost)
        for id in items where id.kind != .certificate { lose(id, &update) }
        keepUsed(missing, &update)
        for token in challenges { apply(.challengeDeleted(token: token), &update) }
        return told
    }

    /// Checks the files and identities by which peers are verified, such as CA files.
    ///
    /// - Parameters:
    ///   - isForced: Whether files are read even if they look unchanged.
    ///   - deliveries: What keepers have obtained from Vaults.
    ///   - lists: Revocation lists that were parsed.
    /// - Returns: The renewed trust. Nil if all contents are as before, and so are the reasons why some can't be used.
    mutating func lookAtFiles(
        isForced: Bool, deliveries: [VaultExchange.Delivery], lists: [ListFiles.Reading]
    ) -> RenewedTrust? {
        let change = materials.look(
            isForced: isForced, deliveries: deliveries, lists: lists, now: GatewayServer.now)
        return change.isEmpty ? nil : renewTrust(after: change)
    }

    mutating func renewTrust(after change: PeerMaterials.Change) -> RenewedTrust {
        RenewedTrust(
            upstreams: upstreams.renewTrust(after: change, materials),
            clients: clientTrusts.renew(after: change, &materials))
    }

    /// Whether `lookAtFiles` should be called again within a tenth of a second.
    var filesAreChanging: Bool { materials.isChanging }

    /// Why some peers can't be verified by the files and identities as they are now.
    var trustFailures: Set<String> {
        upstreams.trustFailures.union(clientTrusts.failures { namesOfHosts(verifyingBy: [$0]) })
    }

    /// All items that are in force or have a problem.
    private var knownItems: Set<ItemID> {
        var items = Set(problems.keys)
        items.formUnion(sites.values.lazy.map { ItemID(.host, $0.name) })
        items.formUnion(hostCertificates.keys.lazy.map { ItemID(.host, $0) })
        items.formUnion(certificates.values.lazy.map { ItemID(.certificate, $0.name) })
        items.formUnion(issuers.keys.lazy.map { ItemID(.issuer, $0) })
        items.formUnion(edgeCertificates.keys.lazy.map { ItemID(.edgeCertificate, $0) })
        items.formUnion(materials.identityNames.lazy.map { ItemID(.identity, $0) })
        items.formUnion(vaults.keys.lazy.map { ItemID(.vault, $0) })
        if node != nil { items.insert(ItemID(single: .node)) }
        if alerts != AlertSettings() { items.insert(ItemID(single: .alerts)) }
        items.insert(ItemID(single: .gateway))
        return items
    }

    /// Removes an item that a full read did not find. The gateway's settings stay in force: every apply writes the
    /// settings, so if the settings are missing, the state has lost them.
    private mutating func lose(_ id: ItemID, _ update: inout TableUpdate) {
        guard id.kind == .gateway else { return apply(.deleted(id), &update) }
        if settings != GatewaySettings() { problems[id] = Self.lossReason }
    }

    /// Handles certificates that are missing from the state. No apply removes a certificate that a host uses. So if a
    /// host uses a missing certificate, the state has lost it, and the certificate stays in force. The other missing
    /// certificates are removed.
    private mutating func keepUsed(_ missing: Set<String>, _ update: inout TableUpdate) {
        guard !missing.isEmpty else { return }
        var unused = missing
        for site in sites.values where !unused.isEmpty { unused.remove(site.view.certificateName.text) }
        for name in missing {
            let id = ItemID(.certificate, name)
            if unused.contains(name) || certificates[name] == nil {
                apply(.deleted(id), &update)
            } else {
                lost.insert(name)
                problems[id] = Self.lossReason
            }
        }
    }

    private static let lossReason = "the state has lost it; run aegis-apply, or restore the state"

    private mutating func apply(_ change: PreparedChange, _ update: inout TableUpdate) {
        switch change {
        case .host(let id, let record, let host):
            declareHeldIdentities(&update)
            compileHost(id, record, host, &update)
        case .certificate(let name, let certificate): compileCertificate(name, certificate, &update)
        case .other(let change): apply(change, &update)
        }
    }

    private mutating func apply(_ change: StateChange, _ update: inout TableUpdate) {
        switch change {
        case .item(let id, let item) where id.kind == .gateway:
            settings = read(GatewaySettings.self, of: id, item) ?? settings
        case .item(let id, let item) where id.kind == .issuer: compileIssuer(id, item)
        case .item(let id, let item) where id.kind == .edgeCertificate:
            if let certificate = read(EdgeCertificate.self, of: id, item) { edgeCertificates[id.name] = certificate }
        case .item(let id, let item) where id.kind == .vault: compileVault(id, item, &update)
        case .item(let id, let item) where id.kind == .identity: compileIdentity(id, item, &update)
        case .item(let id, let item) where id.kind == .node:
            if let settings = read(NodeSettings.self, of: id, item) { setNode(settings, &update) }
        case .item(let id, let item) where id.kind == .alerts:
            alerts = read(AlertSettings.self, of: id, item) ?? alerts
        case .item, .certificate: break
        case .challenge(let challenge):
            // An error is ignored: if the challenge can't be answered, the CA tells the process that placed the order.
            try? update.add(challenge, now: GatewayServer.now)
            challenges.insert(challenge.token)
        case .challengeDeleted(let token):
            challenges.remove(token)
            update.removedChallenges.append(Array(token.utf8))
        case .deleted(let id):
            problems[id] = nil
            switch id.kind {
            case .host:
                removeSite(id.name, &update)
                hostCertificates[id.name] = nil
            case .certificate:
                lost.remove(id.name)
                setCertificate(id.name, nil)
                update.removedCertificates.append(id.name)
            case .gateway: settings = GatewaySettings()
            case .issuer:
                issuers[id.name] = nil
                forgetRenewalTimes()
            case .edgeCertificate: edgeCertificates[id.name] = nil
            case .identity:
                materials.remove(identity: id.name)
                renewTrust(of: id.name, &update)
            case .node: setNode(nil, &update)
            case .vault: vaults[id.name] = nil
            case .alerts: alerts = AlertSettings()
            }
        }
    }

    // MARK: Settings

    /// Reads an item's record. If that fails, returns nil and adds the item to `problems`.
    mutating func read<Value: Recorded>(_ type: Value.Type, of id: ItemID, _ item: StoredItem) -> Value? {
        let value = Value(record: item.record)
        problems[id] = value == nil ? Self.unreadable : nil
        return value
    }

    private static let unreadable = "its record can't be read"

    private mutating func compileIssuer(_ id: ItemID, _ item: StoredItem) {
        guard var issuer = read(Issuer.self, of: id, item) else { return }
        issuer.name = id.name
        issuers[id.name] = issuer
        forgetRenewalTimes()
    }

    /// When an issuer changes, all renewal times must be calculated again, since they depend on the issuers.
    private func forgetRenewalTimes() {
        for certificate in certificates.values { certificate.restsUntil = 0 }
    }

    // MARK: Hosts

    private mutating func compileHost(_ id: ItemID, _ record: [UInt8], _ host: Host?, _ update: inout TableUpdate) {
        guard let host else {
            problems[id] = Self.unreadable
            return
        }
        let limit = HeaderRules.Changes.maximumBytes
        guard host.headers.request.setBytes <= limit, host.headers.response.setBytes <= limit else {
            problems[id] = "the headers to set have more than 32 KiB"
            return
        }
        problems[id] = nil
        hostCertificates[id.name] = ManagedCertificate(host, record: record)
        let former = sites[id.name]
        guard host.enabled else { return removeSite(id.name, &update) }
        var numbers: [UpstreamNumber] = []
        for upstream in host.upstreams {
            let trusted = TrustedUpstream(
                upstream: upstream, tls: upstream.isTLS ? host.upstreamTLS ?? UpstreamTLS() : nil)
            numbers.append(upstreams.use(trusted, &update, &materials))
        }
        former?.upstreams.forEach { setCheck($0, of: id.name, nil) }
        for number in numbers {
            let usesHTTP2 = UpstreamProtocolUse(host) == .http2
            setCheck(
                number, of: id.name,
                host.healthCheck.map { HealthTarget(check: $0, host: host.domain, usesHTTP2: usesHTTP2) })
        }
        let site = Site(host, upstreams: numbers, clientCertificates: clientRule(of: host, &update))
        sites[id.name] = site
        update.sites.append(site)
        if host.clientAuth?.allowsExpired == true {
            hostsAllowingExpired.insert(id.name)
        } else {
            hostsAllowingExpired.remove(id.name)
        }
        former?.upstreams.forEach { release($0, &update) }
        if let former { releaseClientRule(of: former, &update) }
    }

    private mutating func clientRule(of host: Host, _ update: inout TableUpdate) -> ClientCertificateRule {
        guard let settings = host.clientAuth else { return ClientCertificateRule() }
        return ClientCertificateRule(settings, trust: clientTrusts.use(settings, &materials, &update))
    }

    private mutating func releaseClientRule(of site: Site, _ update: inout TableUpdate) {
        let rule = site.view.clientCertificates
        if rule.mode != .none { clientTrusts.release(rule.trust, &materials, &update) }
    }

    private mutating func removeSite(_ name: String, _ update: inout TableUpdate) {
        guard let site = sites[name] else { return }
        sites[name] = nil
        hostsAllowingExpired.remove(name)
        update.removedSites.append(name)
        site.upstreams.forEach { setCheck($0, of: name, nil) }
        site.upstreams.forEach { release($0, &update) }
        releaseClientRule(of: site, &update)
    }

    private mutating func setCheck(_ number: UpstreamNumber, of host: String, _ target: HealthTarget?) {
        checksByHost[number, default: [:]][host] = target
        if checksByHost[number]?.isEmpty == true { checksByHost[number] = nil }
        healthChecks[number] = checksByHost[number]?.min { $0.key < $1.key }?.value
    }

    private mutating func release(_ number: UpstreamNumber, _ update: inout TableUpdate) {
        upstreams.release(number, &update, &materials)
    }

    // MARK: Certificates

    /// The settings by which the gateway orders or renews the certificate with this name. Nil if the gateway does
    /// neither.
    func managed(_ name: String) -> ManagedCertificate? { hostCertificates[name] ?? certificates[name]?.managed }

    /// The earliest expiry of all certificates, in seconds since 1970; nil if there are none.
    mutating func firstEnd() -> Int64? {
        soonestEnd = soonestEnd ?? certificates.values.map(\.expiresAt).min()
        return soonestEnd
    }

    /// The expiry of each certificate by name, in seconds since 1970.
    var expiries: [String: Int64] {
        Dictionary(certificates.values.map { ($0.name, $0.expiresAt) }) { $1 }
    }

    private mutating func setCertificate(_ name: String, _ certificate: CertificateEntry?) {
        // If the certificate that expires first is replaced, the earliest expiry must be computed again.
        if certificates[name]?.expiresAt == soonestEnd { soonestEnd = nil }
        certificates[name] = certificate
        if let certificate { soonestEnd = soonestEnd.map { min($0, certificate.expiresAt) } }
    }

    private mutating func compileCertificate(
        _ name: String, _ prepared: Result<CertificateEntry, PreparedChange.Failure>,
        _ update: inout TableUpdate
    ) {
        let id = ItemID(.certificate, name)
        lost.remove(name)
        switch prepared {
        case .success(let certificate):
            problems[id] = nil
            setCertificate(name, certificate)
            update.certificates.append(certificate)
        case .failure(let failure): problems[id] = failure.reason
        }
    }
}
