import ACME
import ConfigModel
import PKI
import State

/// One order at one CA, from the journal's first line to the checked certificate.
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
            case .finalize where order.finalize == nil, .download where !pending.isFinalized:
                // Of an order of old the CA may tell more when it is placed anew.
                try store.deleteOrder(for: need.name, by: holder)
                if begun.url != nil { throw FailedBefore() }
                throw Self.uselessOrder(order)
            case .finalize: try finalize(order, &pending, &view)
            case .download:
                do {
                    var material = try download(order, pending, client)
                    material.warnings =
                        client.takeOddities().map { "was issued, though \($0)" } + view.oddities + material.warnings
                    return material
                } catch let result as Unusable {
                    throw try giveUp(begun, after: result)
                }
            case .failed(let failure) where pending.isFinalized && failure.isForNow:
                // It may be issued yet.
                throw try giveUp(begun, after: .notYet("\(failure)", hint: "the next try looks at the order again"))
            case .failed(let failure):
                try store.deleteOrder(for: need.name, by: holder)
                try note(failure)
                if begun.url != nil, published.isEmpty { throw FailedBefore() }
                throw IssuanceFailure("\(failure)")
            }
        }
    }

    /// Why nothing can come of an order that the CA has given to us.
    private static func uselessOrder(_ order: ACMEOrder) -> IssuanceFailure {
        guard order.status == .valid else {
            return IssuanceFailure("the CA's order does not say where its request goes: 'finalize' is missing")
        }
        return IssuanceFailure(
            "the CA gives an old order back that was finalized by another request: its certificate is for another key",
            hint: "the CA gives a new order when it has forgotten that one, or for other names")
    }

    /// Sends the request. Where the CA does not take it nothing was issued, and the order may be left for one with other terms.
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

    /// Where the order is: placed and noted, unless it was before.
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

    /// Places the order: as a renewal where the CA takes it as one.
    private func place(_ client: ACMEClient) throws -> (order: ACMEPlacedOrder, isRenewal: Bool) {
        if let former = try replaced(client) {
            do {
                return (try place(client, replacing: former), true)
            } catch let error as ACMEError where error.isLasting {
                // Another order may have replaced it, or the CA is another one at the same place.
            }
        }
        return (try place(client, replacing: nil), false)
    }

    /// Places the order; at a CA that has forgotten our account, after that was made again.
    private func place(_ client: ACMEClient, replacing former: String?) throws -> ACMEPlacedOrder {
        let names = try identifiers()
        let limits = ACMELimits(settings, store: store)
        // What the CA knows as a renewal does not count.
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

    /// How the CA names the certificate that this one takes the place of (RFC 9773 section 5); nil at a CA that does not, or that
    /// has not issued it.
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
