import PKI
import Remote

/// Why a certificate is revoked (RFC 5280, section 5.3.1); the raw value is the code.
public enum ACMERevocationReason: Int, Sendable {
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

    /// The chain of an order that is valid, as PEM, the leaf first (RFC 8555, section 7.4.2).
    ///
    /// - Parameter preferredChain: the common name of the authority that the chain should lead to. The first of those offered
    ///   that ends in its certificate, or in one that it has issued, is taken; the CA's default when there is none.
    public func certificates(of order: ACMEOrder, preferredChain: String? = nil) throws -> [UInt8] {
        guard let url = order.certificate else {
            throw ACMEError.malformed("order", reason: "it does not say where its certificate is")
        }
        let response = try read(url, accept: Self.chainType)
        let authority = try Self.authorities(of: response.body)
        guard let preferredChain, !authority.contains(preferredChain) else { return response.body }
        for link in response.links.filter({ $0.rel == "alternate" }).prefix(Self.maximumAlternates) {
            let alternate = try ACMEURL(link.url, of: "alternate chain's URL")
            do {
                let other = try read(alternate, accept: Self.chainType).body
                if try Self.authorities(of: other).contains(preferredChain) { return other }
            } catch let error as ACMEError where error.problem != nil {
                // Better another chain than no certificate.
            }
        }
        return response.body
    }

    /// The common names of a chain's last certificate and its issuer. Every certificate must be one, and there must be one.
    private static func authorities(of pem: [UInt8]) throws(ACMEError) -> [String] {
        do throws(PKIError) {
            let ders = try PEM.certificates(in: pem)
            guard ders.count <= CertificateChain.maximumCertificates, let last = ders.last else {
                throw .malformed("chain", reason: "it has \(ders.count) certificates")
            }
            for der in ders { _ = try Certificate(der: der) }
            let certificate = try Certificate(der: last)
            return [certificate.subjectCommonName, certificate.issuerCommonName].compactMap(\.self)
        } catch {
            throw .malformed("chain", reason: "\(error)")
        }
    }

    /// Revokes a certificate in DER (RFC 8555, section 7.6). One that is revoked already is no error.
    ///
    /// - Parameter key: the certificate's own key, where the account neither has ordered it nor holds its names.
    public func revoke(_ certificate: [UInt8], reason: ACMERevocationReason, key: PrivateKey? = nil) throws {
        guard let url = try directory().revokeCert else { throw ACMEError.unsupported("revokeCert") }
        let request = Revocation(certificate: Base64URL.text(certificate), reason: reason.rawValue)
        do {
            _ = try post(RemoteJSON.encode(request), to: url, by: key.map { .key($0) } ?? .account)
        } catch let error as ACMEError where error.isRefusal("alreadyRevoked") {
            // What was wanted is so: an earlier try may have arrived.
        }
    }

    /// When the CA would have a certificate renewed (RFC 9773); `id` is `ACMERenewalInfo.certificateID(of:)`.
    public func renewalInfo(_ id: String) throws -> ACMERenewalInfo {
        guard let base = try directory().renewalInfo else { throw ACMEError.unsupported("renewalInfo") }
        let url = try ACMEURL(
            "\(base.text)\(base.text.hasSuffix("/") ? "" : "/")\(id)", of: "renewal information's URL")
        let response = try fetch(.get, url)
        return try ACMERenewalInfo(response.body, retryAfter: retryAfter(response))
    }
}
