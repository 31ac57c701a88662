import ACME
import ConfigModel
import PKI
import State

/// The end of an order: its certificate is fetched and looked at.
extension ACMEOrderRun {
    /// What the CA gives is of no use.
    struct Unusable: Error, CustomStringConvertible {
        let failure: IssuanceFailure
        /// Whether it is the certificate itself; else it was not to be had, which says nothing of it.
        var isCertificate = true

        var description: String { failure.reason }

        static func notYet(_ reason: String, hint: String) -> Unusable {
            Unusable(failure: IssuanceFailure(reason, hint: hint), isCertificate: false)
        }
    }

    /// For how long a certificate that is issued is asked for, in seconds, before another one is ordered.
    private static let fetchingSeconds: Int64 = 86_400

    /// A chain that can be used, and what of it is left out, in a line.
    private typealias Usable = (chain: CertificateChain, doubt: String?)

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
                "the certificate is issued and can't be fetched: \(error)", hint: "the next try fetches it again")
        }
        try noteCertificate(pending)
        let warnings = [usable.doubt].compactMap(\.self) + doubts + usable.chain.warnings(now: now())
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
        let usable: Usable
        do throws(PKIError) {
            usable = try chain(pem, key)
            try usable.chain.checkStrength()
        } catch {
            let failure = IssuanceFailure("the CA's certificate can't be used: \(error)")
            throw Unusable(failure: failure, isCertificate: !((try? PEM.certificates(in: pem)) ?? []).isEmpty)
        }
        if try lacksIntermediate(usable.chain) {
            throw Unusable(
                failure: IssuanceFailure("the CA's chain ends before the certificate of who has issued the leaf"))
        }
        let time = now()
        if let misfit = usable.chain.leaf.misfit(for: need.names, now: time) {
            let failure = IssuanceFailure("the CA's certificate \(misfit.text)", hint: misfit.hint)
            // What is to be valid later is good as soon as this machine's clock is right.
            if time < usable.chain.leaf.notBefore { throw failure }
            throw Unusable(failure: failure)
        }
        return usable
    }

    /// The chain of a text. Certificates that have no part in it don't cost it: they are left out.
    private func chain(_ pem: [UInt8], _ key: PrivateKey) throws(PKIError) -> Usable {
        let (chain, others) = try CertificateChain.inOrder(certificatesOf: pem, key: key, now: now())
        let names = others.map { "'\($0.subject)'" }.joined(separator: ", ")
        let doubt = "came with certificates that are no part of its chain and are left out: \(names)"
        return (chain, others.isEmpty ? nil : doubt)
    }

    /// Whether a chain is a leaf alone that clients will not trust, as far as that can be known: the one before it from the same
    /// key of the CA had an intermediate certificate, or the leaf says where its issuer's is. A CA whose root signs leaves
    /// itself is in the issuer's `ca_file`.
    private func lacksIntermediate(_ chain: CertificateChain) throws -> Bool {
        guard chain.certificates.count == 1, !chain.leaf.isSelfIssued else { return false }
        if let file = settings.caFile {
            let authorities = try PEM.certificates(in: secrets.read(Secret(.file(file))).plainCopy())
            if authorities.contains(where: { (try? Certificate(der: $0)).map(chain.leaf.isIssued) ?? false }) {
                return false
            }
        }
        if chain.leaf.locatesIssuer { return true }
        guard let key = chain.leaf.authorityKeyIdentifier, let former = try store.certificate(named: need.name),
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

extension CertificateChain {
    /// The common names of its last certificate and of who has issued that.
    fileprivate var authorityNames: [String] {
        guard let last = certificates.last else { return [] }
        return [last.subjectCommonName, last.issuerCommonName].compactMap(\.self)
    }
}
