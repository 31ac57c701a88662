import PKI
import Remote

/// The URLs of a CA's resources, and the CA's description of itself (RFC 8555, section 7.1.1).
package struct ACMEDirectory: Sendable, Hashable {
    /// The URL that issues nonces, to HEAD requests.
    package let newNonce: ACMEURL
    /// The URL that makes and finds accounts.
    package let newAccount: ACMEURL
    /// The URL that places orders.
    package let newOrder: ACMEURL
    /// The URL that revokes certificates.
    package let revokeCert: ACMEURL?
    /// The URL that changes an account's key.
    package let keyChange: ACMEURL?
    /// The URL below which renewal information is found (RFC 9773).
    package let renewalInfo: ACMEURL?
    /// The address of the terms that every account agrees to, for people. Aegis never fetches it; Pebble has a `data:`
    /// URL here.
    package let termsOfService: String?
    /// The names by which CAA records can allow this CA (RFC 8659).
    package let caaIdentities: [String]
    /// Whether each account must be bound to an external account.
    package let isExternalAccountRequired: Bool
    /// The certificate profiles by name, each with a description for people.
    package let profiles: [String: String]

    /// Members that can't be used and count as missing, a line each.
    package let oddities: [String]

    package init(_ bytes: [UInt8], from base: ACMEURL) throws(ACMEError) {
        let wire = try ACMEJSON.decode(Wire.self, from: bytes, of: "directory")
        newNonce = try ACMEURL(wire.newNonce, from: base, of: "directory's newNonce")
        newAccount = try ACMEURL(wire.newAccount, from: base, of: "directory's newAccount")
        newOrder = try ACMEURL(wire.newOrder, from: base, of: "directory's newOrder")
        var oddities: [String] = []
        func note(_ isOdd: Bool, _ name: String) {
            if isOdd { oddities.append("the CA's directory has a '\(name)' that can't be read") }
        }
        func optional(_ text: String?, _ isOdd: Bool, _ name: String) -> ACMEURL? {
            note(isOdd, name)
            guard let text else { return nil }
            do throws(ACMEError) {
                return try ACMEURL(text, from: base, of: "directory's \(name)")
            } catch {
                oddities.append("\(error)")
                return nil
            }
        }
        revokeCert = optional(wire.revokeCert, wire.$revokeCert, "revokeCert")
        keyChange = optional(wire.keyChange, wire.$keyChange, "keyChange")
        renewalInfo = optional(wire.renewalInfo, wire.$renewalInfo, "renewalInfo")
        let meta = wire.meta
        note(wire.$meta, "meta")
        note(meta?.$termsOfService ?? false, "termsOfService")
        note(meta?.$caaIdentities ?? false, "caaIdentities")
        note(meta?.$externalAccountRequired ?? false, "externalAccountRequired")
        note(meta?.$profiles ?? false, "profiles")
        termsOfService = meta?.termsOfService?.oneLine(limit: 2048)
        caaIdentities = (meta?.caaIdentities ?? []).prefix(100).map { $0.oneLine(limit: 253) }
        isExternalAccountRequired = meta?.externalAccountRequired ?? false
        profiles = meta?.profiles ?? [:]
        self.oddities = oddities
    }

    private struct Wire: Decodable {
        struct Meta: Decodable {
            @IfReadable var termsOfService: String?
            @IfReadable var caaIdentities: [String]?
            @IfReadable var externalAccountRequired: Bool?
            @IfReadable var profiles: [String: String]?
        }

        let newNonce: String
        let newAccount: String
        let newOrder: String
        @IfReadable var revokeCert: String?
        @IfReadable var keyChange: String?
        @IfReadable var renewalInfo: String?
        @IfReadable var meta: Meta?
    }
}

extension ACMEDirectory {
    /// Fetches a directory with a single try, for callers that don't wait until a busy CA has time.
    package init(at url: ACMEURL, over edge: any ACMEEdge) throws {
        let response = try edge.send(ACMEHTTPRequest(method: .get, url: url, body: [], accept: nil))
        guard 200...299 ~= response.status else {
            throw ACMEError.refused(ACMEProblem(of: response), status: response.status, retryAfter: nil)
        }
        try self.init(response.body, from: url)
    }
}
