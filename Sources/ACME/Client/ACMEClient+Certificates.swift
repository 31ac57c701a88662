import PKI
import Remote

extension ACMEClient {
    private struct Revocation: Encodable {
        let certificate: String
        let reason: Int
    }

    private static let chainType = "application/pem-certificate-chain"
    private static let maximumAlternates = 10
    /// After this many alternate chains whose server does not answer, the others are not tried, since each may take
    /// some seconds.
    private static let maximumSilences = 2

    /// A chain that the CA offers, with the caller's judgement.
    package struct Offer<Chain> {
        package let chain: Chain
        /// The common names of the CAs to which the chain leads.
        package let authorities: [String]
        /// Why clients would refuse the chain; nil if they would accept it. A chain with a fault is used only if there
        /// is no better one.
        package let fault: String?

        package init(_ chain: Chain, authorities: [String], fault: String? = nil) {
            self.chain = chain
            self.authorities = authorities
            self.fault = fault
        }
    }

    /// Downloads the certificate chain of a valid order (RFC 8555 section 7.4.2).
    ///
    /// The alternate chains that the CA links are downloaded if its own chain does not lead to the preferred CA, or if
    /// clients would refuse its own chain.
    ///
    /// - Parameters:
    ///   - preferredChain: The common name of a CA. The first good chain that leads to this CA is chosen: its last
    ///     certificate, or the issuer of its last certificate, has this name. If no chain fits, the CA's own chain is
    ///     returned, or the first good alternate chain if the CA's own is faulty.
    ///   - read: Parses a chain and judges it; `isAlternate` is false for the CA's own chain. An error for an alternate
    ///     chain is at most reported as a warning. An error for the CA's own chain is rethrown if no alternate chain is
    ///     good.
    /// - Returns: The chain, and warnings of one line each, for example why it is not the preferred chain.
    package func chain<Chain>(
        of order: ACMEOrder, preferring preferredChain: String?,
        reading read: (_ pem: [UInt8], _ isAlternate: Bool) throws -> Offer<Chain>
    ) throws -> (chain: Chain, doubts: [String]) {
        guard let url = order.certificate else {
            throw ACMEError.malformed("order", reason: "it does not say where its certificate is")
        }
        // The CA has named this URL itself, so a refusal may come from a server that does not know the certificate yet.
        let ((response, own), wasLate) = try retryingUntilKnown(evenIfRefused: true) {
            let response = try self.read(url, accept: Self.chainType)
            let own = Result { try read(response.body, false) }
            if case .failure(let error) = own, PEM.endOfFirstBlock(in: response.body) == nil {
                throw withoutPEM(response, error)
            }
            return (response, own)
        }
        var doubts = wasLate ? ["came late: the CA called it issued before it could be downloaded"] : []
        let isWanted = { (offer: Offer<Chain>) in preferredChain.map(offer.authorities.contains) ?? true }
        if let own = try? own.get(), own.fault == nil, isWanted(own) { return (own.chain, doubts) }
        let links = response.links.filter { $0.relations.contains("alternate") }
        let (found, reasons) = try look(for: isWanted, at: links.map(\.target), from: url) { try read($0, true) }
        if let found, isWanted(found), preferredChain != nil { return (found.chain, doubts) }
        let fault = Self.fault(of: own)
        let chosen = if fault != nil, let found { found } else { try own.get() }
        if let preferredChain, !isWanted(chosen) {
            var reason = reasons.first ?? "the CA offers no other chain"
            if reasons.count > 1 { reason += "; and \(reasons.count - 1) more are of no use either" }
            let others = links.count - reasons.count
            if others > 0 { reason += "; \(others) \(others == 1 ? "was" : "were") not tried" }
            let what = fault != nil && found != nil ? "a chain of the CA" : "the CA's own chain"
            doubts.append("has \(what), not preferred_chain '\(preferredChain)': \(reason)")
        }
        if let fault, found != nil {
            let reason = Self.words(of: fault, limit: 200)
            doubts.append("has an alternate chain of the CA, since clients would refuse its own one: \(reason)")
        }
        return (chosen.chain, doubts)
    }

    /// The error for an answer without a PEM block. If the certificate is there in another form, another request would
    /// get it in the same form. Otherwise the certificate is not there yet.
    private func withoutPEM(_ response: ACMEHTTPResponse, _ error: any Error) -> ACMEError {
        let type = response.contentType.map { " of type '\($0.oneLine(limit: 60))'" } ?? ""
        let (answer, size) = ("the answer (HTTP \(response.status))", "\(response.body.count) bytes\(type)")
        if let form = Self.otherForm(of: response.body) {
            return .malformed("certificate", reason: "\(answer) is \(form), and has \(size)")
        }
        let reason = response.body.isEmpty ? "\(answer) is empty" : "\(error); \(answer) has \(size)"
        return .notYet("certificate", reason: reason, retryAfter: retryAfter(response))
    }

    /// The form of a certificate that is not PEM, such as `DER, not PEM`. Nil if there seems to be no certificate.
    private static func otherForm(of body: [UInt8]) -> String? {
        if let form = ForeignForm(of: body.span, key: false) { return form.name }
        let isJSON = body.first.map { "{[\"".utf8.contains($0) } ?? false
        return isJSON && body.firstRange(of: Array("BEGIN CERTIFICATE".utf8)) != nil ? "JSON, not PEM" : nil
    }

    private static func fault<Chain>(of own: Result<Offer<Chain>, any Error>) -> String? {
        switch own {
        case .success(let offer): offer.fault
        case .failure(let error): "\(error)"
        }
    }

    /// Downloads alternate chains until `isWanted` accepts one. If it accepts none, returns the first chain that can be
    /// read, if there is one, and the reason against each chain that was tried.
    private func look<Chain>(
        for isWanted: (Offer<Chain>) -> Bool, at links: [String], from url: ACMEURL,
        reading read: ([UInt8]) throws -> Offer<Chain>
    ) throws -> (found: Offer<Chain>?, reasons: [String]) {
        var first: Offer<Chain>?
        var reasons: [String] = []
        var silences = 0
        for link in links.prefix(Self.maximumAlternates) where silences < Self.maximumSilences {
            let shown = Self.words(of: link, limit: 60)
            do {
                let alternate = try ACMEURL(link, from: url, of: "link to an alternate chain")
                let offer = try read(self.read(alternate, accept: Self.chainType, isWish: true).body)
                if isWanted(offer) { return (offer, []) }
                first = first ?? offer
                reasons.append("the alternate chain at '\(shown)' does not lead to it")
            } catch {
                let reason = Self.words(of: "\(error)", limit: 110)
                reasons.append("the alternate chain at '\(shown)' can't be obtained: \(reason)")
                if error is any ACMEEdgeError { silences += 1 }
            }
        }
        return (first, reasons)
    }

    /// Shortens a text to one line of at most `limit` characters. Words are not cut, since SecretMask hides only whole
    /// secrets.
    private static func words(of text: String, limit: Int) -> String {
        let line = text.oneLine(limit: limit + 1)
        guard line.unicodeScalars.count > limit else { return line }
        return "\(line[..<(line.lastIndex(of: " ") ?? line.startIndex)])…"
    }

    /// Revokes a certificate in DER (RFC 8555 section 7.6). Does nothing if the certificate is already revoked.
    ///
    /// - Parameter key: The certificate's private key. It is needed if the account neither ordered the certificate nor
    /// controls its names.
    package func revoke(_ certificate: [UInt8], reason: RevocationReason, key: PrivateKey? = nil) throws {
        guard let url = try directory().revokeCert else { throw ACMEError.unsupported("revokeCert") }
        let request = Revocation(certificate: Base64URL.text(certificate), reason: reason.rawValue)
        do {
            _ = try post(RemoteJSON.encode(request), to: url, by: key.map { .key($0) } ?? .account)
        } catch let error as ACMEError where error.isRefusal("alreadyRevoked") {
            // The certificate is already revoked, perhaps by an earlier try whose answer was lost.
        }
    }

    /// Asks for the CA's renewal information (RFC 9773). `id` comes from `ACMERenewalInfo.certificateID(of:)`.
    package func renewalInfo(_ id: String) throws -> ACMERenewalInfo {
        guard let base = try directory().renewalInfo else { throw ACMEError.unsupported("renewalInfo") }
        let url = try ACMEURL(
            "\(base.text)\(base.text.hasSuffix("/") ? "" : "/")\(id)", of: "renewal information's URL")
        let response = try fetch(.get, url)
        return try ACMERenewalInfo(response.body, retryAfter: retryAfter(response))
    }
}
