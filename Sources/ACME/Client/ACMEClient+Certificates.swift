import PKI
import Remote

extension ACMEClient {
    private struct Revocation: Encodable {
        let certificate: String
        let reason: Int
    }

    private static let chainType = "application/pem-certificate-chain"
    private static let maximumAlternates = 10

    /// Downloads the certificate chain of a valid order (RFC 8555 section 7.4.2).
    ///
    /// - Parameters:
    ///   - preferredChain: The common name of a CA. The first offered chain that leads to this CA is chosen: its last
    ///     certificate, or the issuer of its last certificate, has this name. If no chain fits, the CA's default chain
    ///     is returned.
    ///   - read: Parses a chain, and says whether it is good enough; `isAlternate` is whether it is not the default chain.
    ///     An error for the default chain is rethrown, and an error for an alternate chain becomes a doubt.
    ///   - authorities: Returns the common names to compare with `preferredChain`.
    /// - Returns: The chain, and doubts of one line each, for example why it is not the preferred chain.
    package func chain<Chain>(
        of order: ACMEOrder, preferring preferredChain: String?,
        reading read: (_ pem: [UInt8], _ isAlternate: Bool) throws -> Chain,
        authorities: (Chain) -> [String]
    ) throws -> (chain: Chain, doubts: [String]) {
        guard let url = order.certificate else {
            throw ACMEError.malformed("order", reason: "it does not say where its certificate is")
        }
        let ((response, own), wasLate) = try whenThere {
            let response = try self.read(url, accept: Self.chainType)
            do {
                return (response, try read(response.body, false))
            } catch  where PEM.endOfFirstBlock(in: response.body) == nil {
                let reason = response.body.isEmpty ? "the answer (HTTP \(response.status)) is empty" : "\(error)"
                throw ACMEError.notYet("certificate", reason: reason, retryAfter: self.retryAfter(response))
            }
        }
        let doubts = wasLate ? ["came, though the CA's certificate was not there at first"] : []
        guard let preferredChain, !authorities(own).contains(preferredChain) else { return (own, doubts) }
        var reasons: [String] = []
        for link in response.links.filter({ $0.relations.contains("alternate") }).prefix(Self.maximumAlternates) {
            let shown = Self.words(of: link.target, limit: 60)
            do {
                let alternate = try ACMEURL(link.target, from: url, of: "link to an alternate chain")
                let other = try read(self.read(alternate, accept: Self.chainType, isWish: true).body, true)
                if authorities(other).contains(preferredChain) { return (other, doubts) }
                reasons.append("the alternate chain at '\(shown)' does not lead to it")
            } catch {
                let reason = Self.words(of: "\(error)", limit: 110)
                reasons.append("the alternate chain at '\(shown)' can't be obtained: \(reason)")
                // If the server does not answer, the other requests would time out too, so the loop ends.
                if error is any ACMEEdgeError { break }
            }
        }
        var reason = reasons.first ?? "the CA offers no other chain"
        if reasons.count > 1 { reason += "; and \(reasons.count - 1) more are of no use either" }
        return (own, doubts + ["has the CA's own chain, not preferred_chain '\(preferredChain)': \(reason)"])
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
