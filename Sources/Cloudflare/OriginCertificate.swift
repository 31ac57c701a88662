import PKI
import Remote

/// A certificate of Cloudflare's Origin CA (https://developers.cloudflare.com/api/resources/origin_ca_certificates/).
package struct OriginCertificate: Sendable, Equatable {
    package let id: String
    /// The leaf in PEM, without a chain. Empty if the answer does not have it.
    package let pem: [UInt8]
    /// The certificate request (CSR) in PEM. Nil if the answer does not have it.
    package let request: String?
    /// The expiry in seconds since 1970. Nil if it can't be read.
    package let expiresAt: Int64?
    /// The time of revocation in seconds since 1970. Nil if the certificate is not revoked.
    package let revokedAt: Int64?
}

extension OriginCertificate: Decodable {
    private enum Key: String, CodingKey {
        case id, certificate, csr
        case expires = "expires_on"
        case revoked = "revoked_at"
    }

    /// Reads a certificate from the JSON of an answer.
    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Key.self)
        id = try values.decode(CloudflareID.self, forKey: .id).text
        pem = Array((try values.decodeIfPresent(CloudflarePEM.self, forKey: .certificate)?.text ?? "").utf8)
        request = try values.decodeIfPresent(CloudflarePEM.self, forKey: .csr)?.text
        // The expiry is only shown to people, so an unreadable one is ignored. An unreadable time of revocation is an
        // error.
        expiresAt = (try? values.decodeIfPresent(String.self, forKey: .expires))?.flatMap(CloudflareTime.seconds)
        // Cloudflare may give a time in the year 1 for a certificate that is not revoked.
        revokedAt = try values.decodeIfPresent(String.self, forKey: .revoked).flatMap(CloudflareTime.seconds)
            .flatMap { $0 > 0 ? $0 : nil }
    }
}

/// The body of a call that orders an Origin CA certificate.
package struct OriginRequest: Sendable, Encodable {
    let csr: String
    let hostnames: [String]
    let type: String
    let validity: Int

    private enum CodingKeys: String, CodingKey {
        case csr, hostnames
        case type = "request_type"
        case validity = "requested_validity"
    }

    /// Makes a body. `type` is `origin-rsa` or `origin-ecc` and must match the request's key. `validity` is in days.
    package init(_ request: CertificateRequest, hostnames: [String], type: String, validity: Int) {
        csr = request.pem
        self.hostnames = hostnames
        self.type = type
        self.validity = validity
    }
}

extension CloudflareClient {
    /// Orders a certificate. If a call fails with a 5xx and there is a zone, this function searches the zone's
    /// certificates for the ordered certificate before it repeats the call. `oddities` has a line for each list element
    /// that can't be read.
    package func issue(
        _ request: OriginRequest, for signed: CertificateRequest, inZone zone: String?
    ) throws(CloudflareError) -> (certificate: OriginCertificate, oddities: [String]) {
        var oddities: [String] = []
        var finding: (() throws(CloudflareError) -> OriginCertificate?)?
        if let zone {
            finding = { () throws(CloudflareError) in
                let search = try certificate(for: signed, named: request.hostnames, inZone: zone)
                oddities = search.oddities
                return search.found
            }
        }
        let issued: OriginCertificate = try call(
            .post, "/certificates", body: RemoteJSON.encode(request), of: "certificate", finding: finding)
        return (issued, oddities)
    }

    /// Finds the certificate in a zone that was issued for a request and is not revoked. `names` serve to recognize the
    /// certificate among list elements that can't be read.
    package func certificate(
        for request: CertificateRequest, named names: [String], inZone zone: String
    ) throws(CloudflareError) -> CloudflareSearch<OriginCertificate> {
        func isSame(_ text: String?) -> Bool? {
            text.flatMap { try? CertificateRequest(pem: Array($0.utf8)) }.map { $0.der == request.der }
        }
        return try search(
            "/certificates?zone_id=\(zone)&", of: "list of certificates",
            mayBe: { isSame($0.csr?.text) ?? $0.isFor(names) }
        ) { (found: OriginCertificate) in
            isSame(found.request) == true && found.revokedAt == nil ? found : nil
        }
    }

    /// Reads a certificate. If the certificate does not exist, throws an error whose `isGone` is true.
    package func certificate(_ id: String) throws(CloudflareError) -> OriginCertificate {
        try call(.get, "/certificates/\(id)", of: "certificate")
    }

    /// Revokes a certificate; a revocation can't be undone. Succeeds if the certificate is already revoked or does not
    /// exist.
    package func revoke(_ id: String) throws(CloudflareError) {
        do throws(CloudflareError) {
            let _: Removed = try call(.delete, "/certificates/\(id)", of: "answer to a revocation")
        } catch  where error.isGone {
            return
        } catch .refused(let refusal) {
            // The refusal is not an error if the certificate is already revoked.
            let state = try? certificate(id)
            guard state?.revokedAt != nil else { throw .refused(refusal) }
        }
    }
}
