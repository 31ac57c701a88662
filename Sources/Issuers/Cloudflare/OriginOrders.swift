import Cloudflare
import ConfigModel
import PKI
import State

/// A certificate that Aegis wants Cloudflare's Origin CA to issue.
struct OriginOrderRequest {
    /// The certificate's name in the state.
    let name: String
    /// The host names and IP addresses in the certificate.
    let names: [String]
    /// The issuer's name in aegis.yaml.
    let issuer: String
    let settings: CloudflareOriginIssuer
    /// The zone in whose list Cloudflare shows the certificate. Nil if aegis.yaml has no `zone_id`.
    let zone: String?

    /// Makes the request of an order that has its own settings instead of an issuer in aegis.yaml.
    init(_ order: OriginOrder) {
        (name, names, issuer) = (order.name, order.names, "")
        settings = order.settings
        zone = order.settings.zoneID
    }

    init(of wanted: WantedCertificate, from issuer: String, _ settings: CloudflareOriginIssuer) {
        name = wanted.name
        names = wanted.names
        self.issuer = issuer
        self.settings = settings
        zone = wanted.zoneID ?? settings.zoneID
    }
}

/// A certificate of Cloudflare's Origin CA that is ordered once, by settings that are not those of an issuer in the
/// state.
package struct OriginOrder: Sendable {
    /// The name that the state will store the certificate under.
    let name: String
    let names: [String]
    let settings: CloudflareOriginIssuer

    package init(name: String, names: [String], _ settings: CloudflareOriginIssuer) {
        (self.name, self.names, self.settings) = (name, names, settings)
    }

    /// Obtains the certificate. The caller must commit the material together with its `closing`, which ends the order in
    /// the journal and the lease. An order of this name that was begun before is continued.
    package func obtain(_ context: IssuanceContext) throws(IssuanceFailure) -> ObtainedCertificate {
        let material = try SoleIssuance(context: context).obtain(name, for: names) { () throws(IssuanceFailure) in
            try OriginOrders(context: context).obtain(OriginOrderRequest(self), startsAnew: false)
        }
        return ObtainedCertificate(material: material, autoRenew: false)
    }
}

/// Obtains certificates from Cloudflare's Origin CA. After a crash, no certificate is ordered twice.
///
/// Before the call to Cloudflare, the state's journal stores the key, the certificate request and the mark
/// `isFinalized`. If a later try finds the mark, it searches the zone's list for the certificate of this request.
/// Without a `zone_id`, Aegis can't search, and does not order again unless the operator asks for that.
struct OriginOrders: Sendable {
    let context: IssuanceContext

    private var store: any StateStore { context.store }

    /// Obtains a certificate. The caller must commit the material together with its `closing`, which ends the order in
    /// the journal and the lease.
    ///
    /// `startsAnew` deletes an order with an unknown outcome. Cloudflare may have issued a certificate for it.
    func obtain(_ need: OriginOrderRequest, startsAnew: Bool) throws(IssuanceFailure) -> IssuedMaterial {
        do {
            return try order(
                need, CloudflareClient(need.settings, secrets: context.secrets, patience: context.patience),
                startsAnew: startsAnew)
        } catch {
            throw IssuanceFailure(of: error, now: context.now())
        }
    }

    private func order(_ need: OriginOrderRequest, _ client: CloudflareClient, startsAnew: Bool) throws
        -> IssuedMaterial
    {
        var pending = try store.pendingOrder(for: need.name)
        var oddities: [String] = []
        // `isFinalized` marks that Cloudflare was called and may have issued the certificate.
        if let marked = pending, marked.isFinalized {
            if let zone = need.zone, marked.isAtServer(of: need) {
                let request = try CertificateRequest(der: marked.request)
                do {
                    let search = try client.certificate(for: request, named: marked.domains, inZone: zone)
                    oddities = search.oddities
                    if let found = search.found, marked.isFor(need) {
                        return try check(found, marked, need, client, oddities)
                    }
                } catch let error as CloudflareError {
                    guard startsAnew, case .malformed = error else { throw error }
                    // The list can't be read, and the operator wants a new certificate (`startsAnew`).
                    pending = nil
                } catch  where startsAnew {
                    // The issued certificate is unusable, and the operator wants a new one (`startsAnew`).
                    pending = nil
                }
            } else if startsAnew {
                pending = nil
            } else {
                throw doubt(of: need, since: marked.createdAt)
            }
        }
        // An order for other names or for another CA is dropped.
        if let begun = pending, !begun.isFor(need) { pending = nil }
        return try ask(pending ?? begin(need), need, client, oddities)
    }

    private func begin(_ need: OriginOrderRequest) throws -> PendingOrder {
        let key = try PrivateKey.generate(need.settings.requestType == .rsa ? .rsa2048 : .ecdsaP256)
        let names = try need.names.map { (name) throws(PKIError) in try SubjectName(name) }
        let pending = PendingOrder(
            certificate: need.name, issuer: need.issuer, directory: need.place, domains: need.names,
            sealedKey: try context.sealer.seal(key.der(), purpose: SealPurpose.orderKey, row: need.name),
            request: try CertificateRequest(key: key, names: names).der, createdAt: context.now())
        try store.putOrder(pending, by: context.holder)
        return pending
    }

    /// Calls Cloudflare for the certificate. If the answer is lost, searches once for the certificate that the call may
    /// have made.
    private func ask(
        _ begun: PendingOrder, _ need: OriginOrderRequest, _ client: CloudflareClient, _ oddities: [String]
    ) throws -> IssuedMaterial {
        var pending = begun
        let request = try CertificateRequest(der: pending.request)
        pending.isFinalized = true
        try store.putOrder(pending, by: context.holder)
        let answer: (certificate: OriginCertificate, oddities: [String])
        do throws(CloudflareError) {
            answer = try client.issue(
                OriginRequest(
                    request, hostnames: need.names, type: need.settings.requestType.rawValue,
                    validity: need.settings.requestedValidityDays), for: request, inZone: need.zone)
        } catch {
            guard error.mayBeDone else {
                // Nothing was issued: Cloudflare refused the call or can't have received it.
                pending.isFinalized = false
                try store.putOrder(pending, by: context.holder)
                throw error
            }
            guard let zone = need.zone else { throw doubt(of: need, since: pending.createdAt, after: error) }
            guard let search = try? client.certificate(for: request, named: need.names, inZone: zone),
                let found = search.found
            else {
                throw IssuanceFailure(
                    "\(error); it may have been issued all the same",
                    hint: "the next try looks into the zone's list before it asks again")
            }
            answer = (found, search.oddities)
        }
        return try check(answer.certificate, pending, need, client, oddities + answer.oddities)
    }

    /// A warning with the first oddity and the number of further oddities.
    private static func warning(of oddities: [String]) -> [String] {
        guard let first = oddities.first else { return [] }
        let others = oddities.count == 1 ? "" : "; and \(oddities.count - 1) more can't be read"
        return ["was issued, though \(first)\(others)"]
    }

    private func doubt(of need: OriginOrderRequest, since: Int64, after error: CloudflareError? = nil)
        -> IssuanceFailure
    {
        IssuanceFailure(
            "\(error.map { "\($0); " } ?? "")a certificate may have been issued on \(UTCTime.text(since)), but its answer was lost,"
                + " and without zone_id nobody can look for it",
            hint: "set zone_id; or see Cloudflare's list of origin certificates, and have another one by"
                + " 'aegis-apply renew \(need.name) --force'")
    }

    /// Checks an issued certificate: it must belong to the order's key, have all wanted names and be valid now. If the
    /// answer does not have the certificate itself, reads it. Cloudflare sends no chain, since its edge knows the Origin
    /// CA.
    private func check(
        _ answer: OriginCertificate, _ pending: PendingOrder, _ need: OriginOrderRequest, _ client: CloudflareClient,
        _ oddities: [String]
    ) throws -> IssuedMaterial {
        let issued = answer.pem.isEmpty ? try client.certificate(answer.id) : answer
        let der = try context.sealer.open(pending.sealedKey, purpose: SealPurpose.orderKey, row: need.name)
        let key = try PrivateKey(der: der)
        let chain: CertificateChain
        do throws(PKIError) {
            chain = try CertificateChain(pem: issued.pem, key: key)
        } catch {
            throw IssuanceFailure("Cloudflare's certificate \(issued.id) can't be used: \(error)")
        }
        let time = context.now()
        if let reason = chain.misfit(for: need.names, now: time) {
            throw IssuanceFailure("Cloudflare's certificate \(issued.id) \(reason.text)", hint: reason.hint)
        }
        try chain.checkStrength()
        return IssuedMaterial(
            chain: chain, key: key, source: .cloudflareOrigin, warnings: Self.warning(of: oddities),
            closing: [.endOrder(certificate: need.name)],
            remote: RemoteCertificate(id: issued.id, request: pending.request))
    }
}

extension OriginOrderRequest {
    /// The API's URL and the type of the key. The journal stores this text as the order's `directory`.
    fileprivate var place: String { "\(settings.baseURL.trimmed) \(settings.requestType.rawValue)" }
}

extension PendingOrder {
    fileprivate func isAtServer(of need: OriginOrderRequest) -> Bool {
        directory.split(separator: " ").first == need.place.split(separator: " ").first
    }

    /// Whether this order is for the wanted certificate. The order of the names does not matter.
    fileprivate func isFor(_ need: OriginOrderRequest) -> Bool {
        directory == need.place && Set(domains) == Set(need.names)
    }
}

extension StoredCertificate {
    /// The issuer that the certificate's entry under `certificates` names. Nil if the entry has another source, or if a
    /// host declares the certificate instead of an entry.
    package var issuerName: String? {
        guard case .issued(let issued) = NamedCertificate(record: record)?.source else { return nil }
        return issued.issuer
    }
}
