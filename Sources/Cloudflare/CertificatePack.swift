import PKI
import Remote

/// A set of certificates that Cloudflare's edge serves for a zone
/// (https://developers.cloudflare.com/api/resources/ssl/subresources/certificate_packs/).
package struct CertificatePack: Sendable, Equatable {
    package let id: String
    /// The status in the API's words: `active`, `pending_validation` and many others.
    package let status: String
    /// The host names, sorted. Empty if the answer does not have them.
    package let hosts: [String]
    /// The earliest expiry of the pack's certificates, in seconds since 1970. Nil if the pack has no certificate yet.
    package let expiresAt: Int64?
    /// The steps that the operator must take so that the CA can validate the names, one per line.
    package let validation: [String]
    /// Validation errors in Cloudflare's words.
    package let problems: [String]
}

package struct CertificatePackOrder: Sendable, Equatable, Codable {
    let type: String
    package let hosts: [String]
    let authority: String
    let validation: String
    let validityDays: Int
    let hasBranding: Bool

    private enum CodingKeys: String, CodingKey {
        case type, hosts
        case authority = "certificate_authority"
        case validation = "validation_method"
        case validityDays = "validity_days"
        case hasBranding = "cloudflare_branding"
    }

    /// Makes an order. `hosts` must include the zone's apex. `authority` and `validation` are words of the API.
    package init(hosts: [String], authority: String, validation: String, validityDays: Int, hasBranding: Bool) {
        type = "advanced"
        self.hosts = hosts.sorted()
        self.authority = authority
        self.validation = validation
        self.validityDays = validityDays
        self.hasBranding = hasBranding
    }

    /// Reads an order from its `text`. Returns nil if the text is not an order.
    package init?(text: String) {
        guard let order = try? RemoteJSON.decode(Self.self, from: Array(text.utf8)) else { return nil }
        self = order
    }

    /// The order in JSON with sorted keys, so equal orders have equal texts.
    package var text: String { String(decoding: RemoteJSON.encode(self), as: UTF8.self) }
}

extension CertificatePack: Decodable {
    private enum Key: String, CodingKey {
        case id, status, hosts, certificates
        case records = "validation_records"
        case errors = "validation_errors"
    }

    private struct Certificate: Decodable {
        let expires: String?

        enum CodingKeys: String, CodingKey {
            case expires = "expires_on"
        }
    }

    private struct Record: Decodable {
        let txtName: String?
        let txtValue: String?
        let httpURL: String?
        let httpBody: String?
        let cname: String?
        let cnameTarget: String?
        let emails: [String]?

        enum CodingKeys: String, CodingKey {
            case cname, emails
            case txtName = "txt_name"
            case txtValue = "txt_value"
            case httpURL = "http_url"
            case httpBody = "http_body"
            case cnameTarget = "cname_target"
        }

        /// The validation steps, one per line, for the operator.
        var lines: [String] {
            var lines: [String] = []
            if let txtName, let txtValue { lines.append("TXT \(txtName) = \(txtValue)") }
            if let cname, let cnameTarget { lines.append("CNAME \(cname) = \(cnameTarget)") }
            if let httpURL, let httpBody { lines.append("HTTP \(httpURL) answers \(httpBody)") }
            if let emails, !emails.isEmpty { lines.append("e-mail to \(emails.joined(separator: ", "))") }
            return lines.map { $0.oneLine(limit: 1000) }
        }
    }

    private struct Complaint: Decodable {
        let message: String?
    }

    /// The maximum number of lines in `validation`, and in `problems`.
    private static let maximumLines = 100

    /// Reads a pack from the JSON of an answer. Only `id` is required. Other members that can't be read stay empty, and
    /// a status that can't be read becomes `unknown`.
    package init(from decoder: any Decoder) throws {
        func list<Element: Decodable>(_ key: Key) -> [Element] {
            (try? values.decodeIfPresent(ReadableList<Element>.self, forKey: key))?.elements ?? []
        }
        let values = try decoder.container(keyedBy: Key.self)
        id = try values.decode(CloudflareID.self, forKey: .id).text
        status = ((try? values.decodeIfPresent(String.self, forKey: .status)) ?? "unknown").oneLine(limit: 60)
        hosts = list(.hosts).map { (host: String) in host.lowercased() }.sorted()
        expiresAt = list(.certificates).compactMap { (one: Certificate) in
            one.expires.flatMap(CloudflareTime.seconds)
        }.min()
        validation = Array(list(.records).flatMap { (record: Record) in record.lines }.prefix(Self.maximumLines))
        problems = list(.errors).prefix(Self.maximumLines).compactMap { (complaint: Complaint) in
            complaint.message?.oneLine(limit: 500)
        }
    }
}

extension CloudflareClient {
    /// Orders a pack. If a call fails with a 5xx, Cloudflare may have accepted the order nevertheless. Before this
    /// function repeats the call, it looks for a pack with the same names that satisfies `isNew`.
    package func order(
        _ order: CertificatePackOrder, inZone zone: String, isNew: @escaping (CertificatePack) -> Bool
    ) throws(CloudflareError) -> CertificatePack {
        try call(
            .post, "\(Self.packs(zone))/order", body: RemoteJSON.encode(order), of: "certificate pack",
            finding: { () throws(CloudflareError) in try pack(of: order, inZone: zone, where: isNew).found })
    }

    /// Reads a pack. If the pack does not exist, throws an error whose `isGone` is true.
    package func pack(_ id: String, inZone zone: String) throws(CloudflareError) -> CertificatePack {
        try call(.get, "\(Self.packs(zone))/\(id)", of: "certificate pack")
    }

    /// Reads all packs of a zone, whatever their status. `oddities` has a line for each list element that can't be
    /// read.
    package func packs(inZone zone: String) throws(CloudflareError) -> (packs: [CertificatePack], oddities: [String]) {
        var all: [CertificatePack] = []
        let listing: CloudflareSearch<Never> = try search("\(Self.packs(zone))?status=all&", of: Self.list) {
            (pack: CertificatePack) -> Never? in
            all.append(pack)
            return nil
        }
        return (all, listing.oddities)
    }

    /// Finds the first pack in a zone that has the order's names and satisfies `isWanted`.
    package func pack(
        of order: CertificatePackOrder, inZone zone: String, where isWanted: (CertificatePack) -> Bool
    ) throws(CloudflareError) -> CloudflareSearch<CertificatePack> {
        try search("\(Self.packs(zone))?status=all&", of: Self.list, mayBe: { $0.isFor(order.hosts) }) {
            (pack: CertificatePack) in pack.hosts == order.hosts && isWanted(pack) ? pack : nil
        }
    }

    /// Restarts the validation of a pack whose status is `validation_timed_out`.
    package func restartValidation(of id: String, inZone zone: String) throws(CloudflareError) -> CertificatePack {
        try call(.patch, "\(Self.packs(zone))/\(id)", of: "certificate pack")
    }

    /// Deletes a pack. Does nothing if the pack does not exist.
    package func deletePack(_ id: String, inZone zone: String) throws(CloudflareError) {
        do throws(CloudflareError) {
            let _: Removed = try call(.delete, "\(Self.packs(zone))/\(id)", of: "answer to a deletion")
        } catch  where error.isGone {
            return
        }
    }

    private static let list = "list of certificate packs"

    private static func packs(_ zone: String) -> String { "/zones/\(zone)/ssl/certificate_packs" }
}
