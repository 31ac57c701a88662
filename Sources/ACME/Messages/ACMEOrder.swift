import PKI
import Remote

/// What a certificate is ordered for: a host name, perhaps a wildcard, or an address (RFC 8738).
public typealias ACMEIdentifier = SubjectName

/// An order at a CA (RFC 8555, section 7.1.3).
public struct ACMEOrder: Sendable, Hashable {
    /// Where an order stands (RFC 8555, section 7.1.6).
    public enum Status: String, Sendable, Decodable {
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
    public let url: ACMEURL
    /// Where it stands.
    public let status: Status
    /// The names.
    public let identifiers: [ACMEIdentifier]
    /// Where the authorizations of its names are.
    public let authorizations: [ACMEURL]
    /// Where the request goes.
    public let finalize: ACMEURL
    /// Where the certificate is, once issued.
    public let certificate: ACMEURL?
    /// Why it has failed.
    public let error: ACMEProblem?
    /// When the CA forgets it, in seconds since 1970.
    public let expires: Int64?
    /// How long the CA wants to be left alone about it.
    public let retryAfter: Duration?

    static let maximumAuthorizations = 1000

    init(_ bytes: [UInt8], url: ACMEURL, retryAfter: Duration?) throws(ACMEError) {
        let wire = try ACMEJSON.decode(Wire.self, from: bytes, of: "order")
        guard wire.authorizations.count <= Self.maximumAuthorizations else {
            throw .malformed("order", reason: "it has more than \(Self.maximumAuthorizations) authorizations")
        }
        self.url = url
        status = wire.status
        identifiers = try wire.identifiers.map { (wire) throws(ACMEError) in try wire.identifier(of: "order") }
        authorizations = try wire.authorizations.map { (text) throws(ACMEError) in
            try ACMEURL(text, of: "order's authorization")
        }
        finalize = try ACMEURL(wire.finalize, of: "order's finalize")
        certificate = try ACMEURL(ifAny: wire.certificate, of: "order's certificate")
        error = wire.error.map { ACMEProblem($0) }
        expires = wire.expires.flatMap(RemoteTime.rfc3339)
        self.retryAfter = retryAfter
    }

    private struct Wire: Decodable {
        let status: Status
        let identifiers: [IdentifierWire]
        let authorizations: [String]
        let finalize: String
        let certificate: String?
        let error: ACMEProblem.Wire?
        let expires: String?
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
        switch (type, read) {
        case ("dns", .dns), ("ip", .ip): break
        default: throw .malformed(thing, reason: "it is for '\(value.oneLine(limit: 300))', which is no name of ours")
        }
        guard let read else { preconditionFailure("matched above") }
        return read
    }
}
