import ACME
import ConfigModel
import PKI
import State

/// The end of an order: the certificate is downloaded and checked.
extension ACMEOrderRun {
    /// The reason why a downloaded certificate, or a failed download, can't be used.
    struct Unusable: Error, CustomStringConvertible {
        let failure: IssuanceFailure
        /// Whether the certificate itself is wrong. If false, the download failed, and another download may succeed.
        var isCertificate = true

        var description: String { failure.reason }

        static func notYet(_ reason: String, hint: String, notBefore: Int64? = nil) -> Unusable {
            Unusable(failure: IssuanceFailure(reason, hint: hint, notBefore: notBefore), isCertificate: false)
        }
    }

    /// How long Aegis tries to download an order's certificate, in seconds since the order was begun. Afterwards, the
    /// next try places a new order.
    private static let fetchingSeconds: Int64 = 86_400

    /// A usable chain, a line for each doubt about it, and a line if it has no intermediate.
    private typealias Usable = (chain: CertificateChain, doubts: [String], gap: String?)

    /// Downloads the certificate. Throws `Unusable` if clients would not accept it for the wanted names.
    func download(_ order: ACMEOrder, _ pending: PendingOrder, _ client: ACMEClient) throws -> IssuedMaterial {
        let der = try sealer.open(pending.sealedKey, purpose: SealPurpose.orderKey, row: need.name)
        let key = try PrivateKey(der: der)
        let usable: Usable
        let doubts: [String]
        do {
            (usable, doubts) = try client.chain(of: order, preferring: settings.preferredChain) { pem, isAlternate in
                let usable = try read(pem, key, isAlternate: isAlternate)
                // For an alternate chain with a fault, `read` throws.
                let fault = isAlternate ? nil : try usable.gap ?? self.fault(of: usable.chain, isAlternate: true)
                return ACMEClient.Offer(usable, authorities: usable.chain.authorityNames, fault: fault)
            }
        } catch let error as ACMEError {
            throw Unusable.notYet(
                "the certificate is issued and can't be fetched: \(error)", hint: "the next try fetches it again",
                notBefore: IssuanceFailure(error, now: now()).notBefore)
        }
        try noteCertificate(pending)
        let warnings =
            usable.doubts + [usable.gap].compactMap(\.self) + doubts
            + usable.chain.warnings(usable.chain.refusal(now: now()), now: now()) + (try cut(usable.chain))
        return IssuedMaterial(
            chain: usable.chain, key: key, source: ACMEProvider.source, warnings: warnings,
            closing: [.endOrder(certificate: need.name)], directory: settings.directory.text)
    }

    /// Returns the failure to report if a finalized order gave no usable certificate. The journal keeps the order,
    /// since a later download may succeed. But if the certificate itself is wrong, or if a day has passed, the order is
    /// deleted, and the next try places a new one.
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

    /// Reads the chain. Throws unless the chain belongs to the key, contains all wanted names, is valid now, has strong
    /// keys and signatures, and has a leaf that clients accept.
    ///
    /// If only a certificate above the leaf has a fault, some clients may know a better path to a root. So such a chain
    /// is used with a warning, unless Aegis can keep a better one: the chain in force or, for an alternate chain, the
    /// CA's default chain.
    private func read(_ pem: [UInt8], _ key: PrivateKey, isAlternate: Bool) throws -> Usable {
        let found: CertificateChain.Found
        do throws(PKIError) {
            found = try CertificateChain.inOrder(certificatesOf: pem, key: key, now: now())
            try found.chain.checkStrength()
        } catch {
            // The error's text names a command that converts a file. The command is of no use for a CA's answer.
            let reason = if case .foreignForm(let form) = error { "it is \(form.name)" } else { "\(error)" }
            throw Unusable(
                failure: IssuanceFailure("the CA's certificate can't be used: \(reason)"),
                isCertificate: error.isOfCertificate)
        }
        let gap = try missingIntermediate(found)
        guard gap == nil || !isAlternate else { throw Unusable.notYet("the chain \(gap ?? "")", hint: "") }
        let usable = (found.chain, found.doubts, gap)
        let time = now()
        if let misfit = found.chain.misfit(for: need.names, now: time) {
            let reason = "the CA's certificate \(misfit.text)"
            let start = found.chain.leaf.notBefore
            guard time < start else { throw Unusable(failure: IssuanceFailure(reason, hint: misfit.hint)) }
            // The CA's clock or this machine's clock is wrong. The certificate is fetched again when it becomes valid,
            // but after a day at most.
            let end = time + IssuanceFailure.longestPauseSeconds
            throw Unusable.notYet(
                reason, hint: misfit.hint ?? "",
                notBefore: min(start - Certificate.toleratedSkewSeconds, end))
        }
        if let fault = try fault(of: found.chain, isAlternate: isAlternate) {
            throw Unusable.notYet(
                "clients would refuse the CA's chain: \(fault)",
                hint: "the certificate that is in force stays; the next try fetches the chain again")
        }
        return usable
    }

    /// Returns a warning if the leaf has no intermediate, else nil. Throws if clients would probably reject the leaf:
    /// - if another certificate in the answer can't be read;
    /// - if a chain is in force, and the answer has a CA certificate with the issuer's name that did not sign the leaf;
    /// - if the leaf names the location of its issuer's certificate;
    /// - if the previous certificate was signed with the same key of the CA and had an intermediate.
    ///
    /// If a root in the issuer's `ca_file` signed the leaf, there is neither a warning nor an error.
    private func missingIntermediate(_ found: CertificateChain.Found) throws -> String? {
        let leaf = found.chain.leaf
        guard found.chain.certificates.count == 1, !leaf.isSelfIssued, !(try isTrusted(issuerOf: leaf)) else {
            return nil
        }
        if let error = found.unreadable.first {
            throw Unusable.notYet(
                "the CA's certificate can't be used: \(error)", hint: "the next try fetches it again")
        }
        if let issuer = leaf.issuerCommonName, try chainInForce() != nil,
            let other = found.others.first(where: { $0.isCA && $0.subjectCommonName == issuer })
        {
            throw Unusable.notYet(
                "the CA's certificate is not signed by '\(other.subject)', which came with it",
                hint: "the next try fetches it again")
        }
        guard !leaf.locatesIssuer, !(try hadIntermediate(issuerOf: leaf)) else {
            let place = leaf.issuerAddress.map { " (\($0))" } ?? ""
            throw Unusable.notYet(
                "the CA's chain ends before the issuing CA's certificate\(place)",
                hint: "the next try fetches it again; a root that signs leaves itself belongs into the issuer's ca_file"
            )
        }
        return "has no intermediate: clients refuse it unless they know \(leaf.issuerShown)"
    }

    /// A warning if an intermediate above the first is missing.
    private func cut(_ chain: CertificateChain) throws -> [String] {
        guard chain.certificates.count > 1 else { return [] }
        let authorities = try authorities()
        let gap = chain.gap { Certificate.isKnownToSystem($0.certificates) || $0.isIssued(byOneOf: authorities) }
        return [gap].compactMap(\.self)
    }

    /// Why a chain is worse than the chain that it would replace; nil if it is not worse. An alternate would replace
    /// the CA's default chain. Any other chain would replace the chain in force.
    private func fault(of chain: CertificateChain, isAlternate: Bool) throws -> String? {
        let former = isAlternate ? nil : try chainInForce()
        guard isAlternate || former != nil else { return nil }
        if let refusal = chain.refusal(now: now()), !refusal.isOfLeaf { return "\(refusal)" }
        guard let early = chain.certificates.dropFirst().first(where: { $0.endsBefore(chain.leaf) }),
            early.notAfter < former?.expiresAt ?? chain.leaf.notAfter
        else { return nil }
        return "'\(early.subject)' ends before the certificate, on \(UTCTime.text(early.notAfter))"
    }

    /// The chain that the state has under the certificate's name. Nil if there is none, or if clients would not accept
    /// the chain. Its names may differ from the wanted names, since clients get this chain until another one is in
    /// force.
    private func chainInForce() throws -> CertificateChain? {
        let time = now()
        guard let former = try store.certificate(named: need.name), former.facts.loss == nil,
            let chain = try? CertificateChain(pem: former.chain), chain.misfit(for: [], now: time) == nil,
            chain.refusal(now: time) == nil
        else { return nil }
        return chain
    }

    /// Whether the issuer's `ca_file` contains the certificate that signed the leaf.
    private func isTrusted(issuerOf leaf: Certificate) throws -> Bool {
        try authorities().contains(where: leaf.isIssued)
    }

    /// The certificates in the issuer's `ca_file`.
    private func authorities() throws -> [Certificate] {
        guard let file = settings.caFile else { return [] }
        return try PEM.certificates(in: secrets.read(Secret(.file(file))).plainCopy()).compactMap {
            try? Certificate(der: $0)
        }
    }

    /// Whether the previous certificate was signed with the same key of the CA and had an intermediate.
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
    /// Whether the error is about a readable certificate. If false, the text may have been damaged in transit.
    fileprivate var isOfCertificate: Bool {
        switch self {
        case .weakKey, .slowKey, .weakSignature, .unsupportedKey, .explicitCurve, .keyMismatch: true
        default: false
        }
    }
}

extension CertificateChain.Found {
    /// Warnings about parts of the CA's answer that Aegis left out.
    fileprivate var doubts: [String] {
        var doubts: [String] = []
        if !others.isEmpty {
            let names = others.map { "'\($0.subject)'" }.joined(separator: ", ")
            doubts.append("came with certificates that are no part of its chain and are left out: \(names)")
        }
        if let error = unreadable.first {
            doubts.append("came with unreadable parts, which are left out: \(error)")
        }
        if let slip { doubts.append("was read, though \(slip)") }
        if isReordered { doubts.append("came with its chain in another order than leaf first") }
        return doubts
    }
}

extension CertificateChain {
    /// The common names of the last certificate in the chain and of its issuer.
    fileprivate var authorityNames: [String] {
        guard let last = certificates.last else { return [] }
        return [last.subjectCommonName, last.issuerCommonName].compactMap(\.self)
    }
}
