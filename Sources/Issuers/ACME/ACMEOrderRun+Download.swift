import ACME
import ConfigModel
import PKI
import State

/// The end of an order: its certificate is fetched and looked at.
extension ACMEOrderRun {
    /// What the CA gives is of no use.
    struct Unusable: Error, CustomStringConvertible {
        let failure: IssuanceFailure
        /// Whether the certificate itself is wrong. If not, it could not be fetched, which says nothing about it.
        var isCertificate = true

        var description: String { failure.reason }

        static func notYet(_ reason: String, hint: String, notBefore: Int64? = nil) -> Unusable {
            Unusable(failure: IssuanceFailure(reason, hint: hint, notBefore: notBefore), isCertificate: false)
        }
    }

    /// For how long a certificate that is issued is asked for, in seconds, before another one is ordered.
    private static let fetchingSeconds: Int64 = 86_400

    /// A chain that can be used, and what speaks against it, a line each.
    private typealias Usable = (chain: CertificateChain, doubts: [String])

    /// The certificate, if a client would take it for what was asked.
    func download(_ order: ACMEOrder, _ pending: PendingOrder, _ client: ACMEClient) throws -> IssuedMaterial {
        let der = try sealer.open(pending.sealedKey, purpose: SealPurpose.orderKey, row: need.name)
        let key = try PrivateKey(der: der)
        let usable: Usable
        let doubts: [String]
        do {
            (usable, doubts) = try client.chain(
                of: order, preferring: settings.preferredChain, reading: { try read($0, key) },
                authorities: { $0.chain.authorityNames })
        } catch let error as ACMEError {
            throw Unusable.notYet(
                "the certificate is issued and can't be fetched: \(error)", hint: "the next try fetches it again",
                notBefore: IssuanceFailure(error, now: now()).notBefore)
        }
        try noteCertificate(pending)
        let warnings = usable.doubts + doubts + usable.chain.warnings(now: now())
        return IssuedMaterial(
            chain: usable.chain, key: key, sourceDigest: [], warnings: warnings,
            closing: [.endOrder(certificate: need.name)], directory: settings.directory.text)
    }

    /// What to say when nothing has come of an order that was finalized. Fetching may have gone wrong: only what is as bad when it is
    /// fetched again stays so, and the next try orders another one.
    func giveUp(_ begun: PendingOrder, after result: Unusable) throws -> IssuanceFailure {
        let failure = result.failure
        guard begun.isFinalized, result.isCertificate || now() - begun.createdAt > Self.fetchingSeconds else {
            return failure
        }
        try store.deleteOrder(for: need.name, by: holder)
        try noteCertificate(begun)
        let hint = "the next try orders another one"
        return IssuanceFailure(failure.reason, hint: result.isCertificate ? failure.hint ?? hint : hint)
    }

    /// The chain, if a client would take it: of our key, for all names, valid now, signed all the way.
    private func read(_ pem: [UInt8], _ key: PrivateKey) throws -> Usable {
        let found: CertificateChain.Found
        do throws(PKIError) {
            found = try CertificateChain.inOrder(certificatesOf: pem, key: key, now: now())
            try found.chain.checkStrength()
        } catch {
            throw Unusable(
                failure: IssuanceFailure("the CA's certificate can't be used: \(error)"),
                isCertificate: error.isOfCertificate)
        }
        let usable = (found.chain, found.doubts + (try missingIntermediate(found)))
        let time = now()
        if let misfit = found.chain.leaf.misfit(for: need.names, now: time) {
            let failure = IssuanceFailure("the CA's certificate \(misfit.text)", hint: misfit.hint)
            // What is to be valid later is good as soon as this machine's clock is right.
            if time < found.chain.leaf.notBefore { throw failure }
            throw Unusable(failure: failure)
        }
        return usable
    }

    /// What is said of a leaf alone; it is refused where clients will not trust it, as far as that can be known: what stood behind
    /// it can't be read, the one before it from the same key of the CA had an intermediate certificate, or the leaf says where its
    /// issuer's is. A CA whose root signs leaves itself is in the issuer's `ca_file`.
    private func missingIntermediate(_ found: CertificateChain.Found) throws -> [String] {
        let leaf = found.chain.leaf
        guard found.chain.certificates.count == 1, !leaf.isSelfIssued, !(try isTrusted(issuerOf: leaf)) else {
            return []
        }
        if let error = found.unreadable.first {
            throw Unusable.notYet(
                "the CA's certificate can't be used: \(error)", hint: "the next try fetches it again")
        }
        guard !leaf.locatesIssuer, !(try hadIntermediate(issuerOf: leaf)) else {
            let place = leaf.issuerAddress.map { " (\($0))" } ?? ""
            throw Unusable.notYet(
                "the CA's chain ends before the certificate of who has issued the leaf\(place)",
                hint: "the next try fetches it again; a root that signs leaves itself belongs into the issuer's ca_file"
            )
        }
        return ["has no intermediate: clients refuse it unless they know \(leaf.issuerShown)"]
    }

    /// Whether the certificate that issued a leaf is in the issuer's `ca_file`.
    private func isTrusted(issuerOf leaf: Certificate) throws -> Bool {
        guard let file = settings.caFile else { return false }
        let authorities = try PEM.certificates(in: secrets.read(Secret(.file(file))).plainCopy())
        return authorities.contains { (try? Certificate(der: $0)).map(leaf.isIssued) ?? false }
    }

    /// Whether the certificate before came from the same key of the CA with an intermediate.
    private func hadIntermediate(issuerOf leaf: Certificate) throws -> Bool {
        guard let key = leaf.authorityKeyIdentifier, let former = try store.certificate(named: need.name),
            let known = try? CertificateChain(pem: former.chain)
        else { return false }
        return known.leaf.authorityKeyIdentifier == key
            && known.certificates.dropFirst().first.map { !$0.isSelfIssued } ?? false
    }

    private func noteCertificate(_ pending: PendingOrder) throws {
        try ACMELimits(settings, store: store).note(
            .certificate, need.names, isExempt: pending.isRenewal, now: now())
    }
}

extension PKIError {
    /// Whether it is a certificate that was read; else the text may be garbled on its way.
    fileprivate var isOfCertificate: Bool {
        switch self {
        case .weakKey, .slowKey, .weakSignature, .unsupportedKey, .explicitCurve, .keyMismatch: true
        default: false
        }
    }
}

extension CertificateChain.Found {
    /// What of the CA's answer is left out.
    fileprivate var doubts: [String] {
        var doubts: [String] = []
        if !others.isEmpty {
            let names = others.map { "'\($0.subject)'" }.joined(separator: ", ")
            doubts.append("came with certificates that are no part of its chain and are left out: \(names)")
        }
        if let error = unreadable.first {
            doubts.append("came with what can't be read and is left out: \(error)")
        }
        return doubts
    }
}

extension CertificateChain {
    /// The common names of its last certificate and of that certificate's issuer.
    fileprivate var authorityNames: [String] {
        guard let last = certificates.last else { return [] }
        return [last.subjectCommonName, last.issuerCommonName].compactMap(\.self)
    }
}
