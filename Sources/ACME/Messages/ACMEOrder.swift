import PKI
import Remote

/// What a certificate is ordered for: a host name, perhaps a wildcard, or an address (RFC 8738).
package typealias ACMEIdentifier = SubjectName

/// An order at a CA (RFC 8555, section 7.1.3).
package struct ACMEOrder: Sendable, Hashable {
    /// Where an order stands (RFC 8555, section 7.1.6).
    package enum Status: String, Sendable {
        /// Names are still to be authorized.
        case pending
        /// All names are authorized: it waits for the request.
        case ready
        /// The CA is issuing.
        case processing
        /// The certificate is there.
        case valid
        /// It has failed.
        case invalid
    }

    /// Where it is looked at.
    package let url: ACMEURL
    /// Where it stands.
    package let status: Status
    /// Where the authorizations of its names are; empty where it does not say so.
    package var authorizations: [ACMEURL]
    /// Where the request goes; nil where it does not say so.
    package var finalize: ACMEURL?
    /// Where the certificate is, once issued.
    package let certificate: ACMEURL?
    /// Why it has failed.
    package let error: ACMEProblem?
    /// When the CA forgets it, in seconds since 1970.
    package let expires: Int64?
    /// How long the CA wants to be left alone about it.
    package let retryAfter: Duration?
    /// The members that it should have and has not, or that can't be read, and what else is odd, a line each. Some CAs leave out what
    /// they think is of no use any more.
    package let oddities: [String]

    static let maximumAuthorizations = 1000

    /// Reads an answer of `base`; what refers to nothing that can be asked is an error, but what is missing.
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
        // Only one that is issued has a certificate (RFC 8555, section 7.1.3).
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

    /// Whether the CA has taken its request.
    var isBeingIssued: Bool { status == .processing || status == .valid }

    /// The order with what an earlier look at it has told, where this one leaves it out.
    package func completed(by earlier: ACMEOrder?) -> ACMEOrder {
        guard let earlier else { return self }
        var order = self
        if order.authorizations.isEmpty { order.authorizations = earlier.authorizations }
        order.finalize = order.finalize ?? earlier.finalize
        return order
    }

    private struct Wire: Decodable {
        let status: StatusWord<Status>
        /// Of no interest: the certificate's names are looked at.
        @IfReadable var identifiers: [IdentifierWire]?
        @IfReadable var authorizations: [String]?
        @IfReadable var finalize: String?
        @IfReadable var certificate: String?
        @IfReadable var error: ACMEProblem.Wire?
        @IfReadable var expires: String?
    }
}

extension ACMEURL {
    /// A URL that need not be there; an empty text is none.
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
