import ConfigModel
import DNS
import PKI

/// Decides whether the CAA records of a name allow a CA to issue (RFC 8659 section 4). Records may restrict accounts
/// and validation methods (RFC 8657).
struct CAAPolicy {
    /// The planned issuance that is compared with the records.
    struct Issuance {
        /// The names by which CAA records allow the CA. Empty if the CA does not publish them.
        let identities: [String]
        /// The URL of the account at the CA. Nil if there is no account yet.
        let account: String?
        /// The type of the challenge that the CA will use.
        let method: ACMEIssuer.Challenge
        let isWildcard: Bool
    }

    /// The tags that every CA supports (RFC 8659 sections 4.2 to 4.4).
    private static let knownTags: Set = ["issue", "issuewild", "iodef"]
    /// The flag with which a CA must not issue if it does not support the tag (RFC 8659 section 4.1).
    private static let critical: UInt8 = 0x80

    /// The relevant records: those of the name, or else of the nearest parent with CAA records.
    let records: [DNSLookup.CAARecord]

    /// Returns the reason why the records forbid an issuance, or nil. A message puts "the CAA records of …" before it.
    func objection(to issuance: Issuance) -> String? {
        if let unknown = records.first(where: { $0.flags & Self.critical != 0 && !Self.knownTags.contains($0.tag) }) {
            return
                "have the critical property '\(unknown.tag.oneLine(limit: 100))', which a CA that does not know it stops at"
        }
        let forWildcards = records.filter { issuance.isWildcard && $0.tag == "issuewild" }
        let properties = forWildcards.isEmpty ? records.filter { $0.tag == "issue" } : forWildcards
        guard !properties.isEmpty else { return nil }
        let values = properties.compactMap { CAAIssueValue($0.value) }
        let issuers = values.map(\.issuer).filter { !$0.isEmpty }
        let what = issuance.isWildcard ? "issue wildcards" : "issue"
        guard !issuers.isEmpty else { return "let no CA \(what)" }
        let allowed = "let only \(Set(issuers).sorted().joined(separator: ", ").oneLine(limit: 300)) \(what)"
        guard !issuance.identities.isEmpty else { return "\(allowed), and the CA does not say by which name it goes" }
        let identities = issuance.identities.map { $0.lowercased() }
        let objections = values.filter { identities.contains($0.issuer) }.map { $0.objection(to: issuance) }
        guard let first = objections.first else {
            return "\(allowed), and the CA is \(identities.map { $0.oneLine(limit: 253) }.joined(separator: ", "))"
        }
        return objections.contains(nil) ? nil : first
    }
}

/// The parsed value of a CAA record with the tag `issue` or `issuewild` (RFC 8659 section 4.2).
struct CAAIssueValue: Equatable {
    /// The CA's name in lower case. Empty if no CA may issue.
    let issuer: String
    /// Parameters that restrict the issuance.
    let parameters: [(tag: String, value: String)]

    static func == (left: CAAIssueValue, right: CAAIssueValue) -> Bool {
        left.issuer == right.issuer && left.parameters.elementsEqual(right.parameters, by: ==)
    }

    /// Reads a value. Returns nil if it is malformed, which means that no CA may issue.
    init?(_ text: String) {
        var parts = text.split(separator: ";", omittingEmptySubsequences: false).map(\.trimmingBlanks)
        issuer = String(parts.removeFirst()).lowercased()
        // After a semicolon at the end, `split` returns an empty part.
        if parts.last?.isEmpty == true { parts.removeLast() }
        guard issuer.isEmpty || issuer.split(separator: ".", omittingEmptySubsequences: false).allSatisfy(Self.isLabel)
        else { return nil }
        var parameters: [(String, String)] = []
        for part in parts {
            guard let equals = part.firstIndex(of: "=") else { return nil }
            let (tag, value) = (part[..<equals].trimmingBlanks, part[part.index(after: equals)...].trimmingBlanks)
            guard Self.isLabel(tag), value.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
            parameters.append((tag.lowercased(), String(value)))
        }
        self.parameters = parameters
    }

    /// Returns the reason why the parameters forbid an issuance by this CA, or nil.
    func objection(to issuance: CAAPolicy.Issuance) -> String? {
        let accounts = values(of: "accounturi")
        if !accounts.isEmpty, accounts != issuance.account.map({ [$0] }) ?? [] {
            let ours = issuance.account.map { "ours is \($0)" } ?? "we have none yet"
            return
                "let \(issuer) issue only for the account \(accounts.joined(separator: " and ").oneLine(limit: 300)), and \(ours)"
        }
        let methods = values(of: "validationmethods")
        let allowed = methods.first?.split(separator: ",").map { $0.lowercased() } ?? []
        if !methods.isEmpty, methods.count > 1 || !allowed.contains(issuance.method.rawValue) {
            let names = methods.map { $0.isEmpty ? "none" : $0 }.joined(separator: " and ")
            return
                "let \(issuer) issue only by \(names.oneLine(limit: 300)), and its challenge is \(issuance.method.rawValue)"
        }
        return nil
    }

    /// Returns the values of a parameter. A parameter that occurs more than once forbids every issuance.
    private func values(of tag: String) -> [String] { parameters.filter { $0.tag == tag }.map(\.value) }

    /// Whether a text consists of letters and digits, with hyphens between them.
    private static func isLabel(_ text: Substring) -> Bool {
        !text.isEmpty && !text.hasPrefix("-") && !text.hasSuffix("-")
            && text.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || byte < 0x80 && (0x41...0x5A).contains(byte & 0xDF)
                    || byte == UInt8(ascii: "-")
            }
    }
}
