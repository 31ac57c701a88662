import ACME
import ConfigModel
import PKI
import State

/// One order at one CA, from the journal's first line to the checked certificate.
struct ACMEOrderRun {
    let need: CertificateNeed
    let issuer: CertificateNeed.Issuer
    let store: any StateStore
    let holder: LeaseHolder
    let sealer: Sealer
    let secrets: SecretReader
    let board: ChallengeBoard
    let accounts: ACMEAccounts
    let now: @Sendable () -> Int64

    var settings: ACMEIssuer { issuer.settings }

    func obtain() throws -> IssuedMaterial {
        let client = try accounts.client(for: settings)
        if let pending = try resumable(client) {
            do {
                return try carryOut(pending, client)
            } catch let error as ACMEError where error.isGone {
                // The CA has forgotten it: nothing can come of it any more.
                try store.deleteOrder(for: need.name, by: holder)
            } catch is FailedBefore {
                // As when the CA looked for answers while nobody was there to give them: that says nothing of now.
            }
        }
        return try carryOut(begin(), client)
    }

    // MARK: The journal

    /// The order that was begun for just this, at a CA that knows it as ours; another one is of no use.
    private func resumable(_ client: ACMEClient) throws -> PendingOrder? {
        guard let pending = try store.pendingOrder(for: need.name) else { return nil }
        // What was finalized may have been issued: it is taken as it is.
        let isWanted = pending.isFinalized || ["", terms].contains(pending.terms)
        if pending.directory == settings.directory.text, pending.domains == need.names, isWanted,
            try isKnown(pending, client)
        {
            return pending
        }
        try store.deleteOrder(for: need.name, by: holder)
        return nil
    }

    /// Whether the CA still has an order that was begun, and as this account's: it may have forgotten both, and another external
    /// account makes another account of ours.
    private func isKnown(_ pending: PendingOrder, _ client: ACMEClient) throws -> Bool {
        guard let url = pending.url else { return true }
        do {
            _ = try client.order(at: ACMEURL(url, of: "order"))
            return true
        } catch let error as ACMEError
            where error.isGone || ["accountDoesNotExist", "unauthorized"].contains(error.problem?.kind)
        {
            return false
        }
    }

    /// A new order's line, with the key that its certificate will have.
    private func begin() throws -> PendingOrder {
        let key = try PrivateKey.generate(KeyAlgorithm(need.keyType ?? settings.keyType))
        let request = try CertificateRequest(key: key, names: try identifiers())
        let pending = PendingOrder(
            certificate: need.name, issuer: issuer.name, directory: settings.directory.text, domains: need.names,
            sealedKey: try sealer.seal(key.der(), purpose: SealPurpose.orderKey, row: need.name),
            request: request.der, createdAt: now(), terms: terms)
        try store.putOrder(pending, by: holder)
        return pending
    }

    /// What an order asks for besides its names, as the journal has it.
    private var terms: String {
        "\((need.keyType ?? settings.keyType).rawValue) \(settings.challenge.rawValue) \(settings.profile ?? "")"
    }

    private func identifiers() throws(PKIError) -> [SubjectName] {
        try need.names.map { (name) throws(PKIError) in try SubjectName(name) }
    }

    // MARK: The order

    /// An order that was taken up had failed with nothing of this run's doing.
    private struct FailedBefore: Error {}

    private func carryOut(_ begun: PendingOrder, _ client: ACMEClient) throws -> IssuedMaterial {
        var pending = begun
        let url: ACMEURL
        if let known = pending.url {
            url = try ACMEURL(known, of: "order")
        } else {
            let placed = try place(client)
            url = placed.order.url
            pending.url = url.text
            pending.isRenewal = placed.isRenewal
            try store.putOrder(pending, by: holder)
        }
        var published: [Published] = []
        defer { published.forEach(withdraw) }
        var machine = OrderMachine(answering: settings.challenge.type)
        while true {
            let order = try client.order(at: url)
            let authorizations =
                order.status == .pending || order.status == .invalid
                ? try order.authorizations.map { try client.authorization(at: $0) } : []
            switch machine.next(order: order, authorizations: authorizations, now: now()) {
            case .answer(let answers):
                published.append(try publish(answers, client))
                for answer in answers {
                    try client.answer(answer.challenge)
                    machine.answered(answer.challenge)
                }
            case .await(_, let delay), .awaitIssuance(let delay): Pause.wait(delay)
            case .finalize:
                pending.isFinalized = true
                try store.putOrder(pending, by: holder)
                _ = try client.finalize(order, csr: pending.request)
            case .download:
                do {
                    return try check(download(order, client), pending)
                } catch let result as Unusable {
                    // Fetching may have gone wrong. What is as bad when it is fetched again stays so.
                    guard begun.isFinalized else { throw result.failure }
                    try store.deleteOrder(for: need.name, by: holder)
                    try noteCertificate(pending)
                    throw IssuanceFailure(
                        result.failure.reason, hint: result.failure.hint ?? "the next try orders another one")
                }
            case .failed(let failure):
                try store.deleteOrder(for: need.name, by: holder)
                try note(failure)
                if begun.url != nil, published.isEmpty { throw FailedBefore() }
                throw IssuanceFailure("\(failure)")
            }
        }
    }

    /// Places the order: as a renewal where the CA takes it as one.
    private func place(_ client: ACMEClient) throws -> (order: ACMEOrder, isRenewal: Bool) {
        if let former = try replaced(client) {
            do {
                return (try place(client, replacing: former), true)
            } catch let error as ACMEError where error.mayConcernReplacement {
                // Another order may have replaced it, or the CA is another one at the same place.
            }
        }
        return (try place(client, replacing: nil), false)
    }

    /// Places the order; at a CA that has forgotten our account, after that was made again.
    private func place(_ client: ACMEClient, replacing former: String?) throws -> ACMEOrder {
        let names = try identifiers()
        let limits = ACMELimits(settings, store: store)
        // What the CA knows as a renewal does not count.
        if former == nil { try limits.check(names, now: now()) }
        let order: ACMEOrder
        do {
            order = try client.newOrder(identifiers: names, profile: settings.profile, replaces: former)
        } catch let error as ACMEError where error.problem?.kind == "accountDoesNotExist" {
            try accounts.renew(client, settings)
            order = try client.newOrder(identifiers: names, profile: settings.profile, replaces: former)
        }
        try limits.note(.order, need.names, isExempt: former != nil, now: now())
        return order
    }

    /// How the CA names the certificate that this one takes the place of (RFC 9773 section 5); nil at a CA that does not, or that
    /// has not issued it.
    private func replaced(_ client: ACMEClient) throws -> String? {
        guard try client.directory().renewalInfo != nil, let former = try store.certificate(named: need.name),
            former.facts.source == .letsencrypt, ["", settings.directory.text].contains(former.facts.directory),
            let chain = try? CertificateChain(pem: former.chain)
        else { return nil }
        return ACMERenewalInfo.certificateID(of: chain.leaf)
    }

    // MARK: The end

    /// What the CA has issued is of no use.
    private struct Unusable: Error {
        let failure: IssuanceFailure
    }

    private func download(_ order: ACMEOrder, _ client: ACMEClient) throws -> [UInt8] {
        do {
            return try client.certificates(of: order, preferredChain: settings.preferredChain)
        } catch let error as ACMEError {
            guard case .malformed = error else { throw error }
            throw Unusable(failure: IssuanceFailure("\(error)"))
        }
    }

    /// The certificate, if a client would take it for what was asked: of our key, for all names, valid now, signed all the
    /// way.
    private func check(_ pem: [UInt8], _ pending: PendingOrder) throws -> IssuedMaterial {
        let der = try sealer.open(pending.sealedKey, purpose: SealPurpose.orderKey, row: need.name)
        let key = try PrivateKey(der: der)
        let chain: CertificateChain
        do throws(PKIError) {
            chain = try CertificateChain(pem: pem, key: key)
            try chain.checkStrength()
        } catch {
            throw Unusable(failure: IssuanceFailure("the CA's certificate can't be used: \(error)"))
        }
        if try lacksIntermediate(chain) {
            throw Unusable(
                failure: IssuanceFailure("the CA's chain ends before the certificate of who has issued the leaf"))
        }
        let time = now()
        if let misfit = chain.leaf.misfit(for: need.names, now: time) {
            let failure = IssuanceFailure("the CA's certificate \(misfit.text)", hint: misfit.hint)
            // What is to be valid later is good as soon as this machine's clock is right.
            if time < chain.leaf.notBefore { throw failure }
            throw Unusable(failure: failure)
        }
        try noteCertificate(pending)
        return IssuedMaterial(
            chain: chain, key: key, sourceDigest: [], warnings: [], closing: [.endOrder(certificate: need.name)],
            directory: settings.directory.text)
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

    private func note(_ failure: OrderFailure) throws {
        guard case .refused(let complaints) = failure else { return }
        let limits = ACMELimits(settings, store: store)
        for name in Set(complaints.compactMap(\.name)).sorted() {
            try limits.note(.failedAuthorization, [name], now: now())
        }
    }
}

extension ACMEError {
    /// Whether the CA does not know what was asked about.
    var isGone: Bool {
        guard case .refused(_, let status, _) = self else { return false }
        return status == 404 || status == 410
    }
}
