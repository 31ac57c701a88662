import PKI
import Remote

/// A certificate of Cloudflare's Origin CA (https://developers.cloudflare.com/api/resources/origin_ca_certificates/).
package struct OriginCertificate: Sendable, Equatable {
    /// The certificate's identifier at Cloudflare.
    package let id: String
    /// The leaf in PEM, without issuers.
    package let pem: [UInt8]
    /// The request that the certificate was issued for, in PEM; nil where Cloudflare does not tell it.
    package let request: String?
    /// The end of the certificate's validity, in seconds since 1970; nil where it can't be read.
    package let expiresAt: Int64?
    /// The time of its revocation, in seconds since 1970; nil if it was not revoked.
    package let revokedAt: Int64?
}

extension OriginCertificate: Decodable {
    private enum Key: String, CodingKey {
        case id, certificate, csr
        case expires = "expires_on"
        case revoked = "revoked_at"
    }

    /// Reads a certificate from an answer's result.
    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Key.self)
        id = try CloudflareID(values.decode(String.self, forKey: .id), at: decoder).text
        pem = Array((try values.decodeIfPresent(String.self, forKey: .certificate) ?? "").utf8)
        request = try values.decodeIfPresent(String.self, forKey: .csr)
        // An unreadable end is ignored, since only people look at it; an unreadable revocation is an error.
        expiresAt = (try? values.decodeIfPresent(String.self, forKey: .expires))?.flatMap(CloudflareTime.seconds)
        // For a certificate that was not revoked, Cloudflare may give the year 1.
        revokedAt = try values.decodeIfPresent(String.self, forKey: .revoked).flatMap(CloudflareTime.seconds)
            .flatMap { $0 > 0 ? $0 : nil }
    }
}

/// An identifier that Cloudflare has issued. It becomes a part of URL paths.
struct CloudflareID {
    let text: String

    /// Accepts letters, digits and hyphens, at most 100.
    init(_ text: String, at decoder: any Decoder) throws {
        let isPlain = text.utf8.allSatisfy { byte in
            byte == UInt8(ascii: "-") || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                || UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20
        }
        guard isPlain, 1...100 ~= text.utf8.count else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "no identifier of Cloudflare"))
        }
        self.text = text
    }
}

/// The body of a request to the Origin CA.
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

    /// Makes a body for these names. `type` is `origin-rsa` or `origin-ecc`, as the request's key is; `validity` is in
    /// days.
    package init(_ request: CertificateRequest, hostnames: [String], type: String, validity: Int) {
        csr = request.pem
        self.hostnames = hostnames
        self.type = type
        self.validity = validity
    }
}

extension CloudflareClient {
    /// Orders a certificate. If a zone is given, the zone's list is searched for the certificate before the call is
    /// repeated. `oddities` has a line for each element of the list that can't be read.
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

    /// Finds the certificate in a zone's list that was issued for this very request and is not revoked. `names` are
    /// compared with those of unreadable elements.
    package func certificate(
        for request: CertificateRequest, named names: [String], inZone zone: String
    ) throws(CloudflareError) -> CloudflareSearch<OriginCertificate> {
        func isSame(_ text: String?) -> Bool? {
            text.flatMap { try? CertificateRequest(pem: Array($0.utf8)) }.map { $0.der == request.der }
        }
        return try search(
            "/certificates?zone_id=\(zone)&", of: "list of certificates", mayBe: { isSame($0.csr) ?? $0.isFor(names) }
        ) { (found: OriginCertificate) in
            isSame(found.request) == true && found.revokedAt == nil ? found : nil
        }
    }

    /// Reads a certificate. Throws an error that `isGone` when there is none.
    package func certificate(_ id: String) throws(CloudflareError) -> OriginCertificate {
        try call(.get, "/certificates/\(id)", of: "certificate")
    }

    /// Revokes a certificate, which can't be undone. Does not throw if the certificate was revoked before, or does not
    /// exist.
    package func revoke(_ id: String) throws(CloudflareError) {
        do throws(CloudflareError) {
            let _: Removed = try call(.delete, "/certificates/\(id)", of: "answer to a revocation")
        } catch  where error.isGone {
            return
        } catch .refused(let refusal) {
            // Cloudflare may refuse because the certificate is revoked already.
            let state = try? certificate(id)
            guard state?.revokedAt != nil else { throw .refused(refusal) }
        }
    }
}
