import PKI
import Remote

/// A name in an order: a host name, which may be a wildcard, or an IP address (RFC 8738).
package typealias ACMEIdentifier = SubjectName

/// A CA's record of an order (RFC 8555 section 7.1.3).
package struct ACMEOrder: Sendable, Hashable {
    /// The status of an order (RFC 8555 section 7.1.6).
    package enum Status: String, Sendable {
        /// Some names are not authorized yet.
        case pending
        /// All names are authorized. The CA waits for the certificate request (CSR).
        case ready
        case processing
        case valid
        case invalid
    }

    package let url: ACMEURL
    package let status: Status
    /// The URLs of the authorizations, as far as they can be read. Empty if the answer does not have them.
    package var authorizations: [ACMEURL]
    /// Why the answer's `authorizations` can't be read. Nil if some of them can be read, or if there are none.
    let authorizationFault: String?
    /// The URL for the certificate request (CSR). Nil if the answer does not have it.
    package var finalize: ACMEURL?
    /// The URL of the certificate. Nil until the CA has issued it.
    package let certificate: ACMEURL?
    /// The reason why the order failed.
    package let error: ACMEProblem?
    /// The time when the order expires, in seconds since 1970.
    package let expires: Int64?
    /// The delay that the CA asks for before the next request.
    package let retryAfter: Duration?
    /// A line for each missing, unreadable or oddly written member. Some CAs leave out members that are no longer
    /// needed.
    package let oddities: [String]

    static let maximumAuthorizations = 1000

    /// Reads the CA's answer to a request to `base`. Only `status` is required, and only if there is no certificate. A
    /// malformed `finalize` or `certificate` is an error. Authorizations that can't be read are skipped.
    package init(_ bytes: [UInt8], url: ACMEURL, from base: ACMEURL, retryAfter: Duration?) throws(ACMEError) {
        let wire = try ACMEJSON.decode(Wire.self, from: bytes, of: "order")
        let list = wire.authorizations
        guard list.map({ $0.elements.count + $0.faults.count }) ?? 0 <= Self.maximumAuthorizations else {
            throw .malformed("order", reason: "it has more than \(Self.maximumAuthorizations) authorizations")
        }
        self.url = url
        let (readable, texts, faults) = Self.urls(in: list, from: base)
        authorizations = readable
        authorizationFault =
            wire.$authorizations ? "the list is of the wrong type" : readable.isEmpty ? faults.first : nil
        finalize = try ACMEURL(ifAny: wire.finalize, from: base, of: "order's finalize")
        certificate = try ACMEURL(ifAny: wire.certificate, from: base, of: "order's certificate")
        error = wire.error.map { ACMEProblem($0) }
        // Only a valid order has a certificate (RFC 8555 section 7.1.3). So if there is one, the missing status is
        // "valid".
        guard let status = wire.status.word ?? (certificate == nil ? nil : Status.valid) else {
            throw .malformed("order", reason: "'status' is missing")
        }
        self.status = status
        expires = wire.expires.flatMap(RemoteTime.rfc3339)
        self.retryAfter = retryAfter
        let unusable = [
            ("identifiers", wire.identifiers == nil), ("authorizations", authorizations.isEmpty),
            ("finalize", finalize == nil), ("certificate", wire.$certificate), ("error", wire.$error),
            ("expires", wire.$expires),
        ].filter(\.1).map { "'\($0.0)'" }
        let urls = texts + [wire.finalize, wire.certificate].compactMap(\.self).filter { $0 != "" }
        let skipped = readable.isEmpty ? nil : faults.first
        let others = faults.count > 1 ? "; and \(faults.count - 1) more" : ""
        oddities =
            (urls.lazy.compactMap(ACMEURL.oddity).first.map { ["the CA's order has \($0)"] } ?? [])
            + (unusable.isEmpty ? [] : ["the CA's order has no \(unusable.joined(separator: ", ")) that can be used"])
            + (skipped.map { ["the CA's order has an authorization that can't be read: \($0)\(others)"] } ?? [])
            + (wire.status.oddity.map { ["the CA's order has a 'status' \($0)"] } ?? [])
    }

    /// The URLs in a list, their texts, and why other elements can't be read.
    private static func urls(
        in list: ReadableList<String>?, from base: ACMEURL
    ) -> (readable: [ACMEURL], texts: [String], faults: [String]) {
        var (readable, texts): ([ACMEURL], [String]) = ([], [])
        var faults = (list?.faults ?? []).map(\.reason)
        for text in list?.elements ?? [] {
            do throws(ACMEError) {
                readable.append(try ACMEURL(text, from: base, of: "URL"))
                texts.append(text)
            } catch {
                faults.append("\(error)")
            }
        }
        return (readable, texts, faults)
    }

    /// Whether the CA has accepted the certificate request.
    var isBeingIssued: Bool { status == .processing || status == .valid }

    /// Returns a copy of this order. Members that this answer of the CA leaves out are copied from an earlier answer.
    package func completed(by earlier: ACMEOrder?) -> ACMEOrder {
        guard let earlier else { return self }
        var order = self
        if order.authorizations.isEmpty { order.authorizations = earlier.authorizations }
        order.finalize = order.finalize ?? earlier.finalize
        return order
    }

    private struct Wire: Decodable {
        let status: StatusWord<Status>
        /// This member is only checked for being readable. The names are read from the certificate instead.
        @IfReadable var identifiers: [IdentifierWire]?
        @IfReadable var authorizations: ReadableList<String>?
        @IfReadable var finalize: String?
        @IfReadable var certificate: String?
        @IfReadable var error: ACMEProblem.Wire?
        @IfReadable var expires: String?
    }
}

extension ACMEURL {
    /// Reads a URL that may be missing. An empty text counts as missing.
    fileprivate init?(ifAny text: String?, from base: ACMEURL, of thing: String) throws(ACMEError) {
        guard let text, !text.isEmpty else { return nil }
        try self.init(text, from: base, of: thing)
    }
}

/// An identifier in ACME's JSON (RFC 8555 section 9.7.7).
struct IdentifierWire: Codable {
    let type: String
    let value: String

    init(_ identifier: ACMEIdentifier) {
        switch identifier {
        case .dns(let name): (type, value) = ("dns", name)
        case .ip(let address): (type, value) = ("ip", address)
        }
    }

    /// Reads the name. A host name may end with the dot of the root.
    func identifier(of thing: String) throws(ACMEError) -> ACMEIdentifier {
        let isRooted = type.lowercased() == "dns" && value.hasSuffix(".")
        let read = try? ACMEIdentifier(isRooted ? String(value.dropLast()) : value)
        switch (type.lowercased(), read) {
        case ("dns", .dns), ("ip", .ip): break
        default: throw .malformed(thing, reason: "it is for '\(value.oneLine(limit: 300))', which is no name of ours")
        }
        guard let read else { preconditionFailure("matched above") }
        return read
    }
}
