import ConfigModel
import Issuers
import PKI
import State
import SystemPackage

/// Turns changes of the state into what workers serve, and remembers as much of it as the next change needs.
///
/// What can't be used (a key that does not open, a record that can't be read) is a problem, and leaves what was there
/// before.
struct StateCompiler {
    /// The settings in force.
    private(set) var settings = GatewaySettings()
    /// The upstreams of all sites.
    private(set) var upstreams = UpstreamRegistry()
    /// What is checked how often, by the upstream's number: as the first host by name has it, of those that share it.
    private(set) var healthChecks: [UpstreamNumber: HealthTarget] = [:]
    private var checksByHost: [UpstreamNumber: [String: HealthTarget]] = [:]
    /// What Cloudflare's edge is to serve.
    private(set) var edgeCertificates: [String: EdgeCertificate] = [:]
    /// What is known of each certificate, by name, but for what only people read.
    private(set) var certificates: [String: CertificateFacts] = [:]
    /// What the gateway has or renews by itself, by the certificate's name.
    private(set) var managed: [String: ManagedCertificate] = [:]
    /// Where certificates come from, by name.
    private(set) var issuers: [String: Issuer] = [:]
    /// What could not be put in force, by item.
    private(set) var problems: [ItemID: String] = [:]
    /// How many sites there are.
    var siteCount: Int { sites.count }
    /// Their names.
    var siteNames: Set<String> { Set(sites.keys) }

    /// Where relative paths of the configuration start.
    var directory = FilePath(".")
    private var sites: [String: Site] = [:]
    /// By their PEM: the certificates above leaves.
    private var authorities: [[UInt8]: [[UInt8]]] = [:]
    private var directories: Set<String> = []

    /// How many changed certificates are parsed before they replace others. Beyond that (the first load above all) seal and
    /// fingerprint have to do, which cost a hundredth: apply has checked the rest before it stored them, and the seal says
    /// that the key is the leaf's.
    private static let fullChecks = 64

    /// A host's health check, with the name it asks for.
    struct HealthTarget {
        let check: HealthCheck
        let host: String
    }

    /// Takes a change in.
    mutating func take(_ change: StateChange, _ sealer: Sealer, _ update: inout TableUpdate) {
        switch change {
        case .item(let id, let item) where id.kind == .host: takeHost(id, item, &update)
        case .item(let id, let item) where id.kind == .gateway: takeSettings(id, item)
        case .item(let id, let item) where id.kind == .issuer: takeIssuer(id, item)
        case .item(let id, let item) where id.kind == .edgeCertificate:
            edgeCertificates[id.name] = EdgeCertificate(record: item.record)
        case .item: break
        case .certificate(let certificate): take(certificate, sealer, &update)
        case .challenge(let challenge):
            // One that can't be answered fails at the CA, which says so to whoever has asked.
            try? update.add(challenge, now: GatewayServer.now)
        case .challengeDeleted(let token): update.removedChallenges.append(Array(token.utf8))
        case .deleted(let id):
            problems[id] = nil
            switch id.kind {
            case .host:
                removeSite(id.name, &update)
                if case .host = managed[id.name]?.declaration { managed[id.name] = nil }
            case .certificate:
                certificates[id.name] = nil
                if case .named = managed[id.name]?.declaration { managed[id.name] = nil }
                update.removedCertificates.append(id.name)
            case .gateway: settings = GatewaySettings()
            case .issuer: issuers[id.name] = nil
            case .edgeCertificate: edgeCertificates[id.name] = nil
            }
        }
    }

    // MARK: Settings

    private mutating func takeSettings(_ id: ItemID, _ item: StoredItem) {
        guard let settings = GatewaySettings(record: item.record) else {
            problems[id] = "its record can't be read"
            return
        }
        problems[id] = nil
        self.settings = settings
    }

    private mutating func takeIssuer(_ id: ItemID, _ item: StoredItem) {
        guard var issuer = Issuer(record: item.record) else {
            problems[id] = "its record can't be read"
            return
        }
        problems[id] = nil
        issuer.name = id.name
        issuers[id.name] = issuer
    }

    // MARK: Hosts

    private mutating func takeHost(_ id: ItemID, _ item: StoredItem, _ update: inout TableUpdate) {
        guard let host = Host(record: item.record) else {
            problems[id] = "its record can't be read"
            return
        }
        let limit = HeaderRules.Changes.maximumBytes
        guard host.headers.request.setBytes <= limit, host.headers.response.setBytes <= limit else {
            problems[id] = "the headers to set have more than 32 KiB"
            return
        }
        problems[id] = nil
        if let certificate = ManagedCertificate(host, record: item.record) {
            managed[id.name] = certificate
        } else if case .host = managed[id.name]?.declaration {
            managed[id.name] = nil
        }
        let former = sites[id.name]
        guard host.enabled else { return removeSite(id.name, &update) }
        let numbers = host.upstreams.map { upstream in
            let trusted = TrustedUpstream(upstream: upstream, caFile: upstream.isTLS ? host.caFile : nil)
            return upstreams.take(trusted, &update, trust: trust)
        }
        former?.upstreams.forEach { setCheck($0, of: id.name, nil) }
        for number in numbers {
            setCheck(number, of: id.name, host.healthCheck.map { HealthTarget(check: $0, host: host.domain.text) })
        }
        let site = Site(host, upstreams: numbers)
        sites[id.name] = site
        update.sites.append(site)
        former?.upstreams.forEach { release($0, &update) }
    }

    private mutating func removeSite(_ name: String, _ update: inout TableUpdate) {
        guard let site = sites.removeValue(forKey: name) else { return }
        update.removedSites.append(name)
        site.upstreams.forEach { setCheck($0, of: name, nil) }
        site.upstreams.forEach { release($0, &update) }
    }

    private mutating func setCheck(_ number: UpstreamNumber, of host: String, _ target: HealthTarget?) {
        checksByHost[number, default: [:]][host] = target
        if checksByHost[number]?.isEmpty == true { checksByHost[number] = nil }
        healthChecks[number] = checksByHost[number]?.min { $0.key < $1.key }?.value
    }

    private mutating func release(_ number: UpstreamNumber, _ update: inout TableUpdate) {
        upstreams.give(back: number, &update)
    }

    /// The CAs of a file; the system's where there is none.
    private func trust(_ caFile: String?) -> UpstreamTrust {
        guard let caFile else { return .known(.system) }
        let path = directory.pushing(FilePath(caFile)).string
        do {
            let trust = TLSClientContext.Trust.authorities(try SmallFile.read(path))
            // Whether it can be used is known before any connection is.
            _ = try TLSClientContext(trust: trust)
            return .known(trust)
        } catch {
            return .unusable("the CAs in '\(path)' can't be used: \(error)")
        }
    }

    // MARK: Certificates

    /// A chain in DER, leaf first. What stands behind the leaf is the same for thousands: it is read and kept once.
    private mutating func chain(of pem: [UInt8]) throws -> [[UInt8]] {
        guard let end = PEM.endOfFirstBlock(in: pem) else { return try PEM.certificates(in: pem) }
        let above = Array(pem[end...])
        let authorities = try authorities[above] ?? PEM.certificates(in: above)
        self.authorities[above] = authorities
        return try PEM.certificates(in: Array(pem[..<end])) + authorities
    }

    /// Facts in as little memory as very many of them should take.
    private mutating func known(_ facts: CertificateFacts) -> CertificateFacts {
        var known = facts
        known.issuerCommonName = ""
        known.sourceDigest = []
        known.directory = directories.insert(facts.directory).memberAfterInsert
        return known
    }

    private mutating func take(_ stored: StoredCertificate, _ sealer: Sealer, _ update: inout TableUpdate) {
        let id = ItemID(.certificate, stored.name)
        do {
            let chain = try chain(of: stored.chain)
            guard let leaf = chain.first, Digest.sha256Text(leaf) == stored.facts.fingerprint else {
                throw PKIError.malformed("certificate", reason: "its chain is not the one that was stored")
            }
            let entry = CertificateEntry(
                name: stored.name, chain: chain, expiresAt: stored.facts.expiresAt, domains: stored.facts.domains,
                sealedKey: stored.sealedKey, sealer: sealer)
            if update.certificates.count < Self.fullChecks {
                _ = try entry.credential()
            } else {
                _ = try entry.openKey()
            }
            problems[id] = nil
            certificates[stored.name] = known(stored.facts)
            if managed[stored.name] == nil { managed[stored.name] = ManagedCertificate(stored) }
            update.certificates.append(entry)
        } catch {
            problems[id] = "\(error)"
        }
    }
}
