import ConfigModel
import PKI

/// A site in a worker's table, with the data that only this worker has.
struct SiteSlot: ~Copyable {
    let site: Site
    let view: SiteView
    /// How many connections and exchanges use the site. A site that was removed from the state stays in the table until
    /// this is 0.
    var users: Int32 = 0
    /// The index of the upstream that round robin chose last.
    private var turn: UInt16 = 0
    var isRetired = false
    /// The site's index in `hostTraffic`, plus one. 0 if the site had no answers since the previous report.
    var trafficPlace: UInt32 = 0

    init(site: Site) {
        self.site = site
        view = site.view
    }

    /// Chooses the next upstream in turn and returns its index.
    mutating func chooseNextUpstream(of count: Int) -> Int {
        turn = UInt16(truncatingIfNeeded: (Int(turn) + 1) % count)
        return Int(turn)
    }
}

struct CertificateSlot: ~Copyable {
    let entry: CertificateEntry
    /// The parsed certificate. Nil until a handshake needs it.
    var credential: TLSCredential?
    /// The number of the last handshake that needed this certificate. The worker numbers its handshakes.
    var lastUse: UInt64 = 0
}

/// A worker's copy of the state: sites and certificates by name, ACME challenges, and upstreams. Messages change the
/// tables between two events. The cost depends only on the size of the change. Only the worker's thread may use the
/// tables.
final class WorkerTables {
    /// The largest number of certificates that a worker keeps in parsed form. Each of them takes 8 KiB, including the
    /// allocator's overhead.
    static let parsedLimit = 768

    let sites = Slab<SiteSlot>(maximum: 1 << 21)
    private let certificates = Slab<CertificateSlot>(maximum: 1 << 21)
    let pools = Slab<UpstreamPool>(maximum: 1 << 21)
    private var siteNames = NameTable()
    private var certificateNames = NameTable()
    private var certificateDomains = NameTable()
    private(set) var poolByNumber: [SlotID] = []
    private(set) var challenges: [[UInt8]: [UInt8]] = [:]
    private var challengeCertificates: [String: ChallengeEntry] = [:]
    private var clientTrusts: [PeerTrust?] = []
    private var clientCertificates: [String: ClientCertificateTraffic] = [:]
    private var refusedUpstreams: [String: UpstreamRefusals] = [:]
    var fallback: FallbackCertificates
    private var handshakes: UInt64 = 0
    private var parsed: [SlotID] = []
    /// The answers of each site since the previous report. `busyPools` are the upstreams with responses since then.
    /// `unchecked` is safe here: only one thread uses the tables, and no change of these arrays calls back into the
    /// tables.
    @safe @exclusivity(unchecked) private var hostTraffic: [(site: SlotID, traffic: HostTraffic)] = []
    @safe @exclusivity(unchecked) private var busyPools: [SlotID] = []

    init(fallback: FallbackSource) { self.fallback = FallbackCertificates(fallback) }

    // MARK: Looking up

    /// The site with exactly this name, or else the site whose wildcard covers the name.
    func site(for key: HostKey) -> SlotID? {
        if let exact = site(key, suffixFrom: 0) { return exact }
        guard let parent = key.parentStart else { return nil }
        return site(key, suffixFrom: parent)
    }

    /// The site of a name. `id` is a guess, such as the site of the handshake, or `none`. If the name is the first name
    /// of that site, the tables of names are not searched.
    func site(of name: Bytes, likely id: SlotID) -> SlotID? {
        if !id.isNone, !sites[id].isRetired, sites[id].view.names.isFirst(name) { return id }
        return HostKey(name).flatMap { site(for: $0) }
    }

    /// The site in force whose domain is this name.
    private func site(named name: Bytes) -> SlotID? {
        siteNames.find(NameHash.of(name)) { index in
            sites.id(at: index).map { !sites[$0].isRetired && sites[$0].site.isNamed(name) } ?? false
        }.flatMap { sites.id(at: $0) }
    }

    private func site(_ key: HostKey, suffixFrom start: Int) -> SlotID? {
        siteNames.find(key.hash(suffixFrom: start)) { index in
            guard let id = sites.id(at: index) else { return false }
            return sites[id].view.has(key, suffixFrom: start)
        }.flatMap { sites.id(at: $0) }
    }

    func use(site id: SlotID) { if !id.isNone { sites[id].users += 1 } }

    func release(site id: SlotID) {
        guard !id.isNone else { return }
        sites[id].users -= 1
        if sites[id].isRetired, sites[id].users == 0 { _ = sites.remove(id) }
    }

    /// Returns the state's certificate for a handshake: the site's own certificate, or else another certificate that
    /// covers the name. If a certificate can't be used, `failure` is set to the certificate's name and the reason.
    func credential(
        site: SlotID?, key: HostKey?, failure: inout (name: String, reason: String)?
    ) -> TLSCredential? {
        handshakes += 1
        if let site, let slot = certificate(named: sites[site].view.certificateName),
            let credential = parsedCredential(slot, &failure)
        {
            return credential
        }
        if let key, let slot = certificate(for: key), let credential = parsedCredential(slot, &failure) {
            return credential
        }
        return nil
    }

    /// Whether the certificate that belongs to the site is in the state. Until it is, other certificates may cover the
    /// site's names.
    func hasOwnCertificate(_ site: SlotID) -> Bool { certificate(named: sites[site].view.certificateName) != nil }

    /// Whether the site has its own certificate, but no certificate covers this name. That happens if the site got the
    /// name after its certificate was issued.
    func isUncovered(_ key: HostKey, by site: SlotID) -> Bool {
        guard let own = certificate(named: sites[site].view.certificateName) else { return false }
        let isCovered = [0, key.parentStart].compactMap { $0 }.contains { start in
            certificates[own].entry.isFor(key, suffixFrom: start)
        }
        return !isCovered && certificate(for: key) == nil
    }

    /// The certificate that answers a tls-alpn-01 challenge for this name. Nil if there is no such challenge.
    func challengeCredential(for key: HostKey) -> TLSCredential? {
        challengeCertificates.isEmpty ? nil : challengeCertificates[key.text]?.credential
    }

    /// The TLS policy of a site. Nil if the site asks for client certificates and its rules could never be made.
    func policy(of site: SlotID, offersHTTP2: Bool) -> TLSPolicy? {
        let view = sites[site].view
        let policy = {
            TLSPolicy(
                scope: view.tlsScope, leastVersion: view.leastVersion, clients: $0,
                offersHTTP2: view.offersHTTP2 ?? offersHTTP2)
        }
        guard view.asksForCertificates else { return policy(nil) }
        return clientTrust(of: site).map {
            policy(ClientAuthentication(trust: $0, isRequired: view.clientCertificates.mode == .require))
        }
    }

    /// The present rules for the certificates of a site's clients. Nil if the site asks for none, or if the rules could
    /// never be made.
    func clientTrust(of site: SlotID) -> PeerTrust? {
        let rule = sites[site].view.clientCertificates
        return rule.mode != .none && rule.trust < clientTrusts.count ? clientTrusts[Int(rule.trust)] : nil
    }

    private func certificate(named name: Bytes) -> SlotID? {
        guard !name.isEmpty else { return nil }
        return certificateNames.find(NameHash.of(name)) { index in
            certificates.id(at: index).map { certificates[$0].entry.isNamed(name) } ?? false
        }.flatMap { certificates.id(at: $0) }
    }

    private func certificate(for key: HostKey) -> SlotID? {
        for start in [0, key.parentStart].compactMap({ $0 }) {
            let found = certificateDomains.find(key.hash(suffixFrom: start)) { index in
                guard let id = certificates.id(at: index) else { return false }
                return certificates[id].entry.isFor(key, suffixFrom: start)
            }
            if let found { return certificates.id(at: found) }
        }
        return nil
    }

    private func parsedCredential(
        _ id: SlotID, _ failure: inout (name: String, reason: String)?
    ) -> TLSCredential? {
        certificates[id].lastUse = handshakes
        if let credential = certificates[id].credential { return credential }
        do {
            let credential = try certificates[id].entry.credential()
            certificates[id].credential = credential
            parsed.append(id)
            if parsed.count > Self.parsedLimit { forgetLeastUsed() }
            return credential
        } catch {
            failure = (certificates[id].entry.name, "\(error)")
            return nil
        }
    }

    /// Frees the parsed form of the certificates that were used least recently, a quarter of all.
    private func forgetLeastUsed() {
        parsed.removeAll { !certificates.contains($0) }
        parsed.sort { certificates[$0].lastUse > certificates[$1].lastUse }
        let kept = Self.parsedLimit * 3 / 4
        for id in parsed.dropFirst(kept) { certificates[id].credential = nil }
        parsed.removeLast(max(0, parsed.count - kept))
    }

    // MARK: Counting

    /// Counts an answer of a site. The site stays in the table until the count is reported.
    func count(site id: SlotID, status: Int) {
        if sites[id].trafficPlace == 0 {
            hostTraffic.append((id, HostTraffic()))
            sites[id].trafficPlace = UInt32(hostTraffic.count)
            use(site: id)
        }
        let place = Int(sites[id].trafficPlace) - 1
        hostTraffic[place].traffic.classes[min(max(status / 100, 1), 5) - 1] &+= 1
    }

    /// Counts a response of an upstream. `nanoseconds` is the time from sending the request to receiving the response's
    /// head.
    func count(upstream id: SlotID, nanoseconds: UInt64) {
        if pools[id].traffic.responses == 0 { busyPools.append(id) }
        pools[id].traffic.responses &+= 1
        pools[id].traffic.nanoseconds &+= nanoseconds
    }

    /// Counts a handshake of a host that asks for certificates. `refusal` is the reason if the certificate was refused.
    func count(certificateFor host: String, isShown: Bool, refusal: PeerRefusal.Reason? = nil) {
        clientCertificates[host, default: .init()].count(isShown: isShown, refusal: refusal)
    }

    /// Counts a refused certificate of an upstream of this host.
    func count(refusedUpstreamOf host: String, _ reason: PeerRefusal.Reason) {
        refusedUpstreams[host, default: .init()].count(reason)
    }

    /// Returns the counts since the previous call. Counting starts again at 0.
    func takeTraffic() -> TrafficReport {
        var report = TrafficReport()
        for (id, traffic) in hostTraffic {
            report.hosts.append((sites[id].site, traffic))
            sites[id].trafficPlace = 0
            release(site: id)
        }
        for id in busyPools where pools.contains(id) {
            report.upstreams.append((pools[id].definition, pools[id].traffic))
            pools[id].traffic = UpstreamTraffic()
        }
        report.clientCertificates = clientCertificates
        report.refusedUpstreams = refusedUpstreams
        clientCertificates.removeAll(keepingCapacity: true)
        refusedUpstreams.removeAll(keepingCapacity: true)
        hostTraffic.removeAll(keepingCapacity: true)
        busyPools.removeAll(keepingCapacity: true)
        return report
    }

    // MARK: Changing the tables

    /// Sets the rules for client certificates. Sites refer to the rules by the number of the definition.
    func set(_ definition: ClientTrustDefinition) {
        while clientTrusts.count <= definition.number { clientTrusts.append(nil) }
        clientTrusts[Int(definition.number)] = definition.trust
    }

    func apply(_ update: TableUpdate) {
        update.clientTrusts.forEach(set)
        for name in update.removedSites { name.lendingBytes { removeSite(named: $0) } }
        for site in update.sites {
            removeSite(named: site.view.domain)
            insert(site)
        }
        for name in update.removedCertificates { name.lendingBytes { removeCertificate(named: $0) } }
        for entry in update.certificates {
            entry.lendingName { removeCertificate(named: $0) }
            insert(entry)
        }
        for token in update.removedChallenges {
            challenges[token] = nil
            challengeCertificates = challengeCertificates.filter { $0.value.token != token }
        }
        for entry in update.challengeCertificates { challengeCertificates[entry.serverName] = entry }
        for (token, answer) in update.challenges { challenges[token] = answer }
    }

    private func insert(_ site: Site) {
        guard let id = sites.insert(SiteSlot(site: site)) else { return }
        site.view.names.forEach { siteNames.insert(NameHash.of($0), id.index) }
    }

    /// Adds a site that no name leads to, for a health check. The site is removed when the check's exchange ends.
    func insertUnnamed(_ site: Site) -> SlotID? {
        let id = sites.insert(SiteSlot(site: site))
        if let id { sites[id].isRetired = true }
        return id
    }

    private func removeSite(named name: Bytes) {
        guard let id = site(named: name) else { return }
        sites[id].view.names.forEach { siteNames.remove(NameHash.of($0), id.index) }
        sites[id].isRetired = true
        if sites[id].users == 0 { _ = sites.remove(id) }
    }

    private func insert(_ entry: CertificateEntry) {
        guard let id = certificates.insert(CertificateSlot(entry: entry)) else { return }
        certificateNames.insert(entry.lendingName(NameHash.of), id.index)
        entry.forEachHash { certificateDomains.insert($0, id.index) }
    }

    private func removeCertificate(named name: Bytes) {
        guard let id = certificate(named: name) else { return }
        let entry = certificates[id].entry
        certificateNames.remove(entry.lendingName(NameHash.of), id.index)
        entry.forEachHash { certificateDomains.remove($0, id.index) }
        _ = certificates.remove(id)
    }

    // MARK: Upstreams

    /// Returns nil if the upstream is unknown.
    func pool(_ number: UpstreamNumber) -> SlotID? {
        guard Int(number) < poolByNumber.count else { return nil }
        let id = poolByNumber[Int(number)]
        return id.isNone ? nil : id
    }

    /// Adds a pool for an upstream, instead of the pool that had the same number before.
    func insert(_ definition: UpstreamDefinition) -> SlotID? {
        guard let id = pools.insert(UpstreamPool(definition)) else { return nil }
        let number = Int(definition.number)
        while poolByNumber.count <= number { poolByNumber.append(.none) }
        poolByNumber[number] = id
        return id
    }

    /// Removes an upstream's number. The pool itself stays until the last exchange that uses it has ended.
    func forget(_ number: UpstreamNumber) { poolByNumber[Int(number)] = .none }
}

extension NameHash {
    static func of(_ name: String) -> UInt32 {
        var hash = NameHash()
        for byte in name.utf8 { hash.add(byte) }
        return hash.value
    }
}
