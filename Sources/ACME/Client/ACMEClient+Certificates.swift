import PKI
import Remote

/// Why a certificate is revoked (RFC 5280, section 5.3.1); the raw value is the code.
package enum ACMERevocationReason: Int, Sendable {
    /// Nothing is said.
    case unspecified = 0
    /// Somebody else may have the key.
    case keyCompromise = 1
    /// The subject is another now.
    case affiliationChanged = 3
    /// There is a newer certificate.
    case superseded = 4
    /// It is not needed any more.
    case cessationOfOperation = 5
}

extension ACMEClient {
    private struct Revocation: Encodable {
        let certificate: String
        let reason: Int
    }

    private static let chainType = "application/pem-certificate-chain"
    private static let maximumAlternates = 10

    /// The chain of an order that is valid (RFC 8555, section 7.4.2).
    ///
    /// - Parameters:
    ///   - preferredChain: the common name of the authority that the chain should lead to. The first of those offered that ends in its
    ///     certificate, or in one that it has issued, is taken; the CA's own when there is none that can be used.
    ///   - read: reads a chain, and throws when it can't be used. What it throws of the CA's own passes through; an alternate is a
    ///     wish, and nothing about it costs the certificate.
    /// - Returns: the chain, and what was odd, a line each: also why it is not the preferred one.
    package func chain<Chain>(
        of order: ACMEOrder, preferring preferredChain: String?, reading read: (_ pem: [UInt8]) throws -> Chain,
        authorities: (Chain) -> [String]
    ) throws -> (chain: Chain, doubts: [String]) {
        guard let url = order.certificate else {
            throw ACMEError.malformed("order", reason: "it does not say where its certificate is")
        }
        let ((response, own), wasLate) = try whenThere {
            let response = try self.read(url, accept: Self.chainType)
            do {
                return (response, try read(response.body))
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
                let other = try read(self.read(alternate, accept: Self.chainType, isWish: true).body)
                if authorities(other).contains(preferredChain) { return (other, doubts) }
                reasons.append("the alternate chain at '\(shown)' does not lead to it")
            } catch {
                let reason = Self.words(of: "\(error)", limit: 110)
                reasons.append("the alternate chain at '\(shown)' can't be obtained: \(reason)")
                // Where one is not answered, the others would be waited for as long.
                if error is any ACMEEdgeError { break }
            }
        }
        var reason = reasons.first ?? "the CA offers no other chain"
        if reasons.count > 1 { reason += "; and \(reasons.count - 1) more are of no use either" }
        return (own, doubts + ["has the CA's own chain, not preferred_chain '\(preferredChain)': \(reason)"])
    }

    /// The first words of a text in a line, of at most `limit` characters: a part of a word could be one of a secret, which is only
    /// known, and hidden, as a whole.
    private static func words(of text: String, limit: Int) -> String {
        let line = text.oneLine(limit: limit + 1)
        guard line.unicodeScalars.count > limit else { return line }
        return "\(line[..<(line.lastIndex(of: " ") ?? line.startIndex)])…"
    }

    /// Revokes a certificate in DER (RFC 8555, section 7.6). One that is revoked already is no error.
    ///
    /// - Parameter key: the certificate's own key, where the account neither has ordered it nor holds its names.
    package func revoke(_ certificate: [UInt8], reason: ACMERevocationReason, key: PrivateKey? = nil) throws {
        guard let url = try directory().revokeCert else { throw ACMEError.unsupported("revokeCert") }
        let request = Revocation(certificate: Base64URL.text(certificate), reason: reason.rawValue)
        do {
            _ = try post(RemoteJSON.encode(request), to: url, by: key.map { .key($0) } ?? .account)
        } catch let error as ACMEError where error.isRefusal("alreadyRevoked") {
            // What was wanted is so: an earlier try may have arrived.
        }
    }

    /// When the CA would have a certificate renewed (RFC 9773); `id` is `ACMERenewalInfo.certificateID(of:)`.
    package func renewalInfo(_ id: String) throws -> ACMERenewalInfo {
        guard let base = try directory().renewalInfo else { throw ACMEError.unsupported("renewalInfo") }
        let url = try ACMEURL(
            "\(base.text)\(base.text.hasSuffix("/") ? "" : "/")\(id)", of: "renewal information's URL")
        let response = try fetch(.get, url)
        return try ACMERenewalInfo(response.body, retryAfter: retryAfter(response))
    }
}
