import ACME
import ConfigModel
import PKI
import State

/// One order at one CA, from the entry in the journal to the checked certificate.
struct ACMEOrderRun {
    let need: WantedCertificate
    let issuer: ACMEAuthority
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
                // The CA no longer knows the order, so a new order is placed below.
                try store.deleteOrder(for: need.name, by: holder)
            } catch is FailedBefore {
                // The order failed in an earlier run, for example because no gateway answered its challenges. A new
                // order may succeed.
            }
        }
        do {
            return try carryOut(begin(), client)
        } catch is GivenBack {
            // A CA may answer with an order that exists already (RFC 8555 section 7.4 does not forbid it). If an
            // earlier request has finalized that order, its certificate is for a key that is gone. The order is
            // complete, so the CA usually answers the next request with a new order.
            do {
                var material = try carryOut(begin(), client)
                material.warnings.insert(
                    "was issued, though the CA first gave back an old order, whose certificate is for another key",
                    at: 0)
                return material
            } catch is GivenBack {
                throw IssuanceFailure(
                    "the CA gives an old order back that was finalized by another request: its certificate is for another"
                        + " key",
                    hint: "the CA gives a new order when it has forgotten that one, or for other names")
            }
        }
    }

    /// Returns the order in the journal if it can be resumed. Its names and terms must be those that are wanted now,
    /// and the CA must know it as this account's order. Deletes any other order from the journal.
    private func resumable(_ client: ACMEClient) throws -> PendingOrder? {
        guard let pending = try store.pendingOrder(for: need.name) else { return nil }
        // If the order was finalized, the CA may have issued the certificate. Then the order is resumed even if the
        // terms have changed.
        let isWanted = pending.isFinalized || ["", terms].contains(pending.terms)
        if pending.directory == settings.directory.text, Set(pending.domains) == Set(need.names), isWanted,
            try isKnown(pending, client)
        {
            return pending
        }
        try store.deleteOrder(for: need.name, by: holder)
        return nil
    }

    /// Whether the CA knows the order and shows it to this account. True if the order was not placed yet. False if the
    /// CA has deleted the order or the account, or if another account placed the order.
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

    /// Makes the key and the certificate request for a new order, and stores them in the journal.
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

    /// The key type, challenge type and profile of the order. The journal keeps this text to detect changed settings.
    private var terms: String {
        "\((need.keyType ?? settings.keyType).rawValue) \(settings.challenge.rawValue) \(settings.profile ?? "")"
    }

    private func identifiers() throws(PKIError) -> [SubjectName] {
        try need.names.map { (name) throws(PKIError) in try SubjectName(name) }
    }

    /// A resumed order failed for a reason from before this run, so a new order may succeed.
    private struct FailedBefore: Error {}

    /// The CA has answered the request for a new order with an old order, which another request has finalized.
    private struct GivenBack: Error {}

    private func carryOut(_ begun: PendingOrder, _ client: ACMEClient) throws -> IssuedMaterial {
        var pending = begun
        let (url, placed) = try place(&pending, client)
        var view = OrderView(client: client, url: url, placed: placed, of: try identifiers())
        var published: [Published] = []
        defer { published.forEach(withdraw) }
        var machine = OrderMachine(answering: settings.challenge.type)
        /// A line for the operator about an odd answer to the certificate request; nil if there is none.
        var oddity: String?
        while true {
            let (order, authorizations) = try view.look()
            switch machine.next(order: order, authorizations: authorizations, now: now()) {
            case .answer(let answers):
                // A process that is ending withdraws its answers too early for the CA, so it must not ask for a
                // validation: the order would fail.
                try StepGate.check()
                published.append(try publish(answers, client))
                for answer in answers {
                    view.note(try client.answer(answer))
                    machine.answered(answer.challenge)
                }
            case .await(_, let delay): WaitNote.during("the CA validates its names") { Pause.wait(delay) }
            case .awaitIssuance(let delay): WaitNote.during("the CA is issuing it") { Pause.wait(delay) }
            case .finalize where order.finalize == nil: throw try giveUpUseless(order, begun)
            case .finalize:
                oddity = try finalize(order, &pending, client) { view.issued = $0 }
                view.note(oddity)
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
                // The CA may still issue the certificate, so the order is kept.
                throw try giveUp(begun, after: .notYet("\(failure)", hint: "the next try looks at the order again"))
            case .failed(let failure) where failure.wouldRecur:
                throw IssuanceFailure("\(failure)", hint: "the next try looks at the order again")
            case .failed(let failure):
                try store.deleteOrder(for: need.name, by: holder)
                try note(failure)
                if begun.url != nil, published.isEmpty { throw FailedBefore() }
                throw IssuanceFailure((["\(failure)"] + [oddity].compactMap(\.self)).joined(separator: "; "))
            }
        }
    }

    /// Deletes an order that can't lead to a certificate, and returns the error to throw. If the order was resumed, the
    /// error is `FailedBefore`, which makes `obtain` place a new order.
    private func giveUpUseless(_ order: ACMEOrder, _ begun: PendingOrder) throws -> any Error {
        try store.deleteOrder(for: need.name, by: holder)
        if begun.url != nil { return FailedBefore() }
        guard order.status != .valid else { return GivenBack() }
        return IssuanceFailure("the CA's order does not say where its request goes: 'finalize' is missing")
    }

    /// Sends the certificate request. The journal first marks the order as finalized, since the CA may issue even if
    /// its answer is lost. If the CA refuses the request, the mark is removed, so that the next try may replace the
    /// order.
    ///
    /// - Returns: A line for the operator about the answer, or nil.
    private func finalize(
        _ order: ACMEOrder, _ pending: inout PendingOrder, _ client: ACMEClient, issued: (ACMEOrder) -> Void
    ) throws -> String? {
        pending.isFinalized = true
        try store.putOrder(pending, by: holder)
        do {
            return try client.finalize(order, csr: pending.request, issued: issued)
        } catch let error as ACMEError where error.isLasting {
            pending.isFinalized = false
            try store.putOrder(pending, by: holder)
            throw error
        }
    }

    /// Returns the order's URL. If the order was not placed yet, places it and stores the URL in the journal.
    private func place(
        _ pending: inout PendingOrder, _ client: ACMEClient
    ) throws -> (url: ACMEURL, placed: ACMEPlacedOrder?) {
        if let known = pending.url { return (try ACMEURL(known, of: "order"), nil) }
        // Only the answer says where the order is, so a process that is told to end waits for the answer.
        return try StepGate.step("a new order") {
            let placed: (order: ACMEPlacedOrder, isRenewal: Bool)
            do {
                placed = try place(client)
            } catch  where Self.mayHavePlaced(error) {
                let failure = IssuanceFailure(error, now: now())
                throw IssuanceFailure(
                    failure.reason,
                    hint:
                        "the CA may have placed the order; only its answer says where, so the next try places another",
                    notBefore: failure.notBefore)
            }
            pending.url = placed.order.url.text
            pending.isRenewal = placed.isRenewal
            try store.putOrder(pending, by: holder)
            return (placed.order.url, placed.order)
        }
    }

    /// Whether the CA may have placed the order although the request failed. Such an order is lost: only the URL in the
    /// answer leads to it. An account's list of orders (RFC 8555 section 7.1.2.1) would too, but Let's Encrypt has none.
    private static func mayHavePlaced(_ error: any Error) -> Bool {
        switch error {
        case let error as any ACMEEdgeError: error.mayHaveArrived
        case ACMEError.refused(_, let status, _): 500...599 ~= status
        case ACMEError.orderWithoutPlace: true
        default: false
        }
    }

    /// Places the order. If a stored certificate is being renewed, the order names that certificate. If the CA refuses
    /// such an order, this function places one that names no certificate.
    private func place(_ client: ACMEClient) throws -> (order: ACMEPlacedOrder, isRenewal: Bool) {
        if let former = try replaced(client) {
            do {
                return (try place(client, replacing: former), true)
            } catch let error as ACMEError where error.isLasting || error.isInternal {
                // The CA refuses to replace a certificate that it did not issue or that another order has replaced, or
                // it fails as it searches for that certificate. An order that replaces nothing may succeed.
            }
        }
        return (try place(client, replacing: nil), false)
    }

    /// Places the order. If the CA answers that it does not know the account, registers the account again and repeats
    /// the request. `former` is the CA's identifier of the certificate to replace (`replaced`), or nil.
    private func place(_ client: ACMEClient, replacing former: String?) throws -> ACMEPlacedOrder {
        let names = try identifiers()
        let limits = ACMELimits(settings, store: store)
        // Rate limits do not apply to renewals that the CA recognizes.
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

    /// The CA's identifier of the certificate that the order replaces (RFC 9773 section 5). Nil if the CA has no
    /// renewal information or did not issue the former certificate.
    private func replaced(_ client: ACMEClient) throws -> String? {
        guard try client.directory().renewalInfo != nil, let former = try store.certificate(named: need.name),
            former.facts.source == ACMEProvider.source, ["", settings.directory.text].contains(former.facts.directory),
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
