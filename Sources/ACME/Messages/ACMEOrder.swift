import PKI
import Remote

/// A name that a certificate is ordered for: a host name, which may be a wildcard, or an address (RFC 8738).
package typealias ACMEIdentifier = SubjectName

/// An order at a CA (RFC 8555, section 7.1.3).
package struct ACMEOrder: Sendable, Hashable {
    /// The state of an order (RFC 8555, section 7.1.6).
    package enum Status: String, Sendable {
        /// Some names are not authorized yet.
        case pending
        /// All names are authorized; the order waits for the certificate request (CSR).
        case ready
        /// The CA is issuing the certificate.
        case processing
        /// The certificate can be downloaded.
        case valid
        /// The order has failed.
        case invalid
    }

    package let url: ACMEURL
    package let status: Status
    /// The URLs of the authorizations; empty where the answer leaves them out.
    package var authorizations: [ACMEURL]
    /// The URL to which the certificate request (CSR) is sent; nil where the answer leaves it out.
    package var finalize: ACMEURL?
    /// The URL of the certificate, once it is issued.
    package let certificate: ACMEURL?
    /// The reason why the order failed.
    package let error: ACMEProblem?
    /// The time when the CA forgets the order, in seconds since 1970.
    package let expires: Int64?
    /// How long the CA wants Aegis to wait before it asks for the order again.
    package let retryAfter: Duration?
    /// Missing, unreadable and oddly written members, a line each. Some CAs leave out members that are no longer
    /// needed.
    package let oddities: [String]

    static let maximumAuthorizations = 1000

    /// Reads an answer that came from the URL `base`. Missing members are accepted, but a URL that can't be requested
    /// is an error.
    package init(_ bytes: [UInt8], url: ACMEURL, from base: ACMEURL, retryAfter: Duration?) throws(ACMEError) {
        let wire = try ACMEJSON.decode(Wire.self, from: bytes, of: "order")
        guard wire.authorizations?.count ?? 0 <= Self.maximumAuthorizations else {
            throw .malformed("order", reason: "it has more than \(Self.maximumAuthorizations) authorizations")
        }
        self.url = url
        authorizations = try (wire.authorizations ?? []).map { (text) throws(ACMEError) in
            try ACMEURL(text, from: base, of: "order's authorization")
        }
        finalize = try ACMEURL(ifAny: wire.finalize, from: base, of: "order's finalize")
        certificate = try ACMEURL(ifAny: wire.certificate, from: base, of: "order's certificate")
        error = wire.error.map { ACMEProblem($0) }
        // Only an issued order has a certificate (RFC 8555, section 7.1.3).
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
        oddities =
            (unusable.isEmpty ? [] : ["the CA's order has no \(unusable.joined(separator: ", ")) that can be used"])
            + (wire.status.oddity.map { ["the CA's order has a 'status' \($0)"] } ?? [])
    }

    /// Whether the CA has accepted the certificate request.
    var isBeingIssued: Bool { status == .processing || status == .valid }

    /// The order, completed by members of an earlier answer that this one leaves out.
    package func completed(by earlier: ACMEOrder?) -> ACMEOrder {
        guard let earlier else { return self }
        var order = self
        if order.authorizations.isEmpty { order.authorizations = earlier.authorizations }
        order.finalize = order.finalize ?? earlier.finalize
        return order
    }

    private struct Wire: Decodable {
        let status: StatusWord<Status>
        /// Only checked for being readable. The names that count are read from the certificate.
        @IfReadable var identifiers: [IdentifierWire]?
        @IfReadable var authorizations: [String]?
        @IfReadable var finalize: String?
        @IfReadable var certificate: String?
        @IfReadable var error: ACMEProblem.Wire?
        @IfReadable var expires: String?
    }
}

extension ACMEURL {
    /// A URL that may be missing. An empty text counts as missing.
    fileprivate init?(ifAny text: String?, from base: ACMEURL, of thing: String) throws(ACMEError) {
        guard let text, !text.isEmpty else { return nil }
        try self.init(text, from: base, of: thing)
    }
}

/// An identifier as ACME writes it (RFC 8555, section 9.7.7).
struct IdentifierWire: Codable {
    let type: String
    let value: String

    init(_ identifier: ACMEIdentifier) {
        switch identifier {
        case .dns(let name): (type, value) = ("dns", name)
        case .ip(let address): (type, value) = ("ip", address)
        }
    }

    func identifier(of thing: String) throws(ACMEError) -> ACMEIdentifier {
        let read = try? ACMEIdentifier(value)
        switch (type.lowercased(), read) {
        case ("dns", .dns), ("ip", .ip): break
        default: throw .malformed(thing, reason: "it is for '\(value.oneLine(limit: 300))', which is no name of ours")
        }
        guard let read else { preconditionFailure("matched above") }
        return read
    }
}
