import PKI
import Remote

/// The URLs of a CA's resources, and the CA's description of itself (RFC 8555 section 7.1.1).
package struct ACMEDirectory: Sendable, Hashable {
    package let newNonce: ACMEURL
    /// The URL for making or finding an account.
    package let newAccount: ACMEURL
    package let newOrder: ACMEURL
    package let revokeCert: ACMEURL?
    package let keyChange: ACMEURL?
    /// The base URL of renewal information (RFC 9773).
    package let renewalInfo: ACMEURL?
    /// The URL of the CA's terms of service, for people. Aegis never fetches it. It need not be https; Pebble has a
    /// `data:` URL.
    package let termsOfService: String?
    /// The names by which CAA records allow this CA (RFC 8659).
    package let caaIdentities: [String]
    package let isExternalAccountRequired: Bool
    /// The certificate profiles. Keys are names, values are descriptions for people.
    package let profiles: [String: String]

    /// A line for each member that can't be used. Such members count as missing.
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
        let urls = [wire.newNonce, wire.newAccount, wire.newOrder, wire.revokeCert, wire.keyChange, wire.renewalInfo]
        if let oddity = urls.lazy.compactMap({ $0 == "" ? nil : $0.flatMap(ACMEURL.oddity) }).first {
            oddities.append("the CA's directory has \(oddity)")
        }
        revokeCert = optional(wire.revokeCert, wire.$revokeCert, "revokeCert")
        keyChange = optional(wire.keyChange, wire.$keyChange, "keyChange")
        renewalInfo = optional(wire.renewalInfo, wire.$renewalInfo, "renewalInfo")
        let meta = wire.meta
        note(wire.$meta, "meta")
        note(meta?.$termsOfService ?? false, "termsOfService")
        note((meta?.$caaIdentities ?? false) || meta?.caaIdentities?.faults.isEmpty == false, "caaIdentities")
        note(meta?.$externalAccountRequired ?? false, "externalAccountRequired")
        note((meta?.$profiles ?? false) || meta?.profiles?.values.contains { $0.$text } == true, "profiles")
        termsOfService = meta?.termsOfService?.oneLine(limit: 2048)
        caaIdentities = (meta?.caaIdentities?.elements ?? []).prefix(100).map { $0.oneLine(limit: 253) }
        isExternalAccountRequired = meta?.externalAccountRequired ?? false
        profiles = (meta?.profiles ?? [:]).mapValues { $0.text ?? "" }
        self.oddities = oddities
    }

    private struct Wire: Decodable {
        struct Meta: Decodable {
            @IfReadable var termsOfService: String?
            @IfReadable var caaIdentities: ReadableList<String>?
            @IfReadable var externalAccountRequired: Bool?
            @IfReadable var profiles: [String: Description]?
        }

        /// The description of a profile. A profile whose description can't be read can be ordered all the same.
        struct Description: Decodable {
            @IfReadable var text: String?

            init(from decoder: any Decoder) throws { _text = try IfReadable(from: decoder) }
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
    /// Fetches a directory with a single try, for callers that must not wait long.
    package init(at url: ACMEURL, over edge: any ACMEEdge) throws {
        let response = try edge.send(ACMEHTTPRequest(method: .get, url: url, body: [], accept: nil))
        guard 200...299 ~= response.status else {
            throw ACMEError.refused(ACMEProblem(of: response), status: response.status, retryAfter: nil)
        }
        try self.init(response.body, from: url)
    }
}
