import ACME
import ConfigModel
import PKI
import State

/// One order at one CA, from the entry in the journal to the checked certificate.
struct ACMEOrderRun {
    let need: WantedCertificate
    let issuer: WantedCertificate.CA
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
                // The CA has forgotten the order, so it can't be finished.
                try store.deleteOrder(for: need.name, by: holder)
            } catch is FailedBefore {
                // The order failed earlier, for example because no challenge was answered then. A new order may
                // succeed.
            }
        }
        return try carryOut(begin(), client)
    }

    // MARK: The journal

    /// The journal's order, if it is for the same names and terms, and the CA knows it as this account's. Any other
    /// order is deleted.
    private func resumable(_ client: ACMEClient) throws -> PendingOrder? {
        guard let pending = try store.pendingOrder(for: need.name) else { return nil }
        // A finalized order may have been issued, so it is resumed even with other terms.
        let isWanted = pending.isFinalized || ["", terms].contains(pending.terms)
        if pending.directory == settings.directory.text, pending.domains == need.names, isWanted,
            try isKnown(pending, client)
        {
            return pending
        }
        try store.deleteOrder(for: need.name, by: holder)
        return nil
    }

    /// Whether the CA still has an order and shows it to this account, or the order was not placed yet. The CA may have forgotten the order or the
    /// account. The order may also belong to another account, if the external account was changed.
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

    /// Makes the journal's entry for a new order, with the key for its certificate.
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

    /// The order's terms besides its names (kind of key, challenge, profile), as the journal keeps them.
    private var terms: String {
        "\((need.keyType ?? settings.keyType).rawValue) \(settings.challenge.rawValue) \(settings.profile ?? "")"
    }

    private func identifiers() throws(PKIError) -> [SubjectName] {
        try need.names.map { (name) throws(PKIError) in try SubjectName(name) }
    }

    // MARK: The order

    /// A resumed order can't be finished, for a reason from before this run.
    private struct FailedBefore: Error {}

    private func carryOut(_ begun: PendingOrder, _ client: ACMEClient) throws -> IssuedMaterial {
        var pending = begun
        let (url, placed) = try place(&pending, client)
        var view = OrderView(client: client, url: url, placed: placed, of: try identifiers())
        var published: [Published] = []
        defer { published.forEach(withdraw) }
        var machine = OrderMachine(answering: settings.challenge.type)
        while true {
            let (order, authorizations) = try view.look()
            switch machine.next(order: order, authorizations: authorizations, now: now()) {
            case .answer(let answers):
                published.append(try publish(answers, client))
                for answer in answers {
                    view.note(try client.answer(answer))
                    machine.answered(answer.challenge)
                }
            case .await(_, let delay), .awaitIssuance(let delay): Pause.wait(delay)
            case .finalize where order.finalize == nil: throw try giveUpUseless(order, begun)
            case .finalize: try finalize(order, &pending, &view)
            case .download:
                do {
                    var material = try download(order, pending, client)
                    material.warnings =
                        client.takeOddities().map { "was issued, though \($0)" } + view.oddities + material.warnings
                    return material
                } catch let result as Unusable where result.isCertificate && !pending.isFinalized {
                    throw try giveUpUseless(order, begun)
                } catch let result as Unusable {
                    throw try giveUp(begun, after: result)
                }
            case .failed(let failure) where pending.isFinalized && failure.isForNow:
                // The CA may still issue the certificate.
                throw try giveUp(begun, after: .notYet("\(failure)", hint: "the next try looks at the order again"))
            case .failed(let failure):
                try store.deleteOrder(for: need.name, by: holder)
                try note(failure)
                if begun.url != nil, published.isEmpty { throw FailedBefore() }
                throw IssuanceFailure("\(failure)")
            }
        }
    }

    /// Deletes an order that can't lead to a certificate, and returns the error to throw. If the order was resumed, that
    /// error makes the run place a new one, which may succeed.
    private func giveUpUseless(_ order: ACMEOrder, _ begun: PendingOrder) throws -> any Error {
        try store.deleteOrder(for: need.name, by: holder)
        return begun.url == nil ? Self.uselessOrder(order) : FailedBefore()
    }

    /// The reason why an order that the CA returned can't lead to a certificate.
    private static func uselessOrder(_ order: ACMEOrder) -> IssuanceFailure {
        guard order.status == .valid else {
            return IssuanceFailure("the CA's order does not say where its request goes: 'finalize' is missing")
        }
        return IssuanceFailure(
            "the CA gives an old order back that was finalized by another request: its certificate is for another key",
            hint: "the CA gives a new order when it has forgotten that one, or for other names")
    }

    /// Sends the certificate request. If the CA refuses it, most likely no certificate was issued, and the next try may
    /// replace the order by one with other terms. If the order turns out to be valid all the same, its certificate
    /// shows whether it was issued for this request.
    private func finalize(_ order: ACMEOrder, _ pending: inout PendingOrder, _ view: inout OrderView) throws {
        pending.isFinalized = true
        try store.putOrder(pending, by: holder)
        do {
            view.note(try view.client.finalize(order, csr: pending.request))
        } catch let error as ACMEError where error.isLasting {
            pending.isFinalized = false
            try store.putOrder(pending, by: holder)
            throw error
        }
    }

    /// Returns the order's URL. Places the order and notes it in the journal, unless that was done before.
    private func place(
        _ pending: inout PendingOrder, _ client: ACMEClient
    ) throws -> (url: ACMEURL, placed: ACMEPlacedOrder?) {
        if let known = pending.url { return (try ACMEURL(known, of: "order"), nil) }
        let placed = try place(client)
        pending.url = placed.order.url.text
        pending.isRenewal = placed.isRenewal
        try store.putOrder(pending, by: holder)
        return (placed.order.url, placed.order)
    }

    /// Places the order, as a renewal where the CA accepts it as one.
    private func place(_ client: ACMEClient) throws -> (order: ACMEPlacedOrder, isRenewal: Bool) {
        if let former = try replaced(client) {
            do {
                return (try place(client, replacing: former), true)
            } catch let error as ACMEError where error.isLasting {
                // The CA refuses a renewal if another order has replaced the former certificate, or if it did not issue
                // that certificate. A plain order may succeed.
            }
        }
        return (try place(client, replacing: nil), false)
    }

    /// Places the order. If the CA has forgotten the account, the account is registered again first.
    private func place(_ client: ACMEClient, replacing former: String?) throws -> ACMEPlacedOrder {
        let names = try identifiers()
        let limits = ACMELimits(settings, store: store)
        // A renewal that the CA recognizes doesn't count against the limits.
        if former == nil { try limits.check(names, now: now()) }
        let order: ACMEPlacedOrder
        do {
            order = try client.newOrder(identifiers: names, profile: settings.profile, replaces: former)
        } catch let error as ACMEError where error.problem?.kind == "accountDoesNotExist" {
            try accounts.renew(client, settings)
            order = try client.newOrder(identifiers: names, profile: settings.profile, replaces: former)
        }
        try limits.note(.order, need.names, isExempt: former != nil, now: now())
        return order
    }

    /// The CA's identifier of the certificate that this order replaces (RFC 9773 section 5); nil if the CA has no
    /// renewal information, or did not issue that certificate.
    private func replaced(_ client: ACMEClient) throws -> String? {
        guard try client.directory().renewalInfo != nil, let former = try store.certificate(named: need.name),
            former.facts.source == .letsencrypt, ["", settings.directory.text].contains(former.facts.directory),
            let chain = try? CertificateChain(pem: former.chain)
        else { return nil }
        return ACMERenewalInfo.certificateID(of: chain.leaf)
    }

    private func note(_ failure: OrderFailure) throws {
        guard case .refused(let complaints) = failure else { return }
        let limits = ACMELimits(settings, store: store)
        for name in Set(complaints.compactMap(\.name)).sorted() {
            try limits.note(.failedAuthorization, [name], now: now())
        }
    }
}
