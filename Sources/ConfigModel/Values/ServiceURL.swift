/// The URL of a web service that Aegis calls: a CA's directory, an API, or a webhook.
package struct ServiceURL: Sendable, Hashable {
    package let text: String

    /// Makes a URL from a text that is known to be valid. Checks nothing.
    init(_ text: String) { self.text = text }

    /// Reads a URL. It must be https, since Aegis sends such services secrets; `allowsLoopback` also accepts http to
    /// this machine.
    static func parse(_ text: String, allowsLoopback: Bool) throws(ValueFault) -> ServiceURL {
        // The check for '@' comes first: a text with '@' may contain a password, and the messages of the later checks
        // quote the text.
        guard !text.contains("@") else { throw ValueFault("a user name or password in a URL is not supported") }
        guard let (scheme, rest) = text.splitAtScheme else {
            throw ValueFault("bad URL \(text.quotedForMessage)", hint: "write it as https://host/path")
        }
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let isVisible = text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        guard isVisible, !rest.contains("#"), !authority.isEmpty, text.utf8.count <= 2048 else {
            throw ValueFault("bad URL \(text.quotedForMessage)")
        }
        let parsed = try HostPort.parse(String(authority))
        guard parsed.host != .any else { throw ValueFault("no host in URL \(text.quotedForMessage)") }
        switch scheme {
        case "https": return ServiceURL(text)
        case "http" where allowsLoopback && isLoopback(parsed.host): return ServiceURL(text)
        case "http":
            throw ValueFault(
                "\(text.quotedForMessage) is not encrypted", hint: "did you mean https\(text.dropFirst(4))?")
        default:
            throw ValueFault("unknown scheme in URL \(text.quotedForMessage)", hint: "write it as https://host/path")
        }
    }

    private static func isLoopback(_ host: HostPort.Host) -> Bool {
        switch host {
        case .name(let name): name == "localhost"
        case .address(let address): address.isLoopback
        case .any: false
        }
    }
}

extension ValueShape where Value == ServiceURL {
    static let httpsURL = hidingQuery(
        text(
            "an https URL",
            .string("An https URL", pattern: "^[Hh][Tt][Tt][Pp][Ss]://", examples: ["https://ca.example.com/dir"]),
            parse: { (text) throws(ValueFault) in try ServiceURL.parse(text, allowsLoopback: false) }, format: \.text
        )
    ).defined(as: "https_url")

    static let webhookURL = hidingQuery(
        text(
            "a URL", .string("An https URL; http only to this machine", examples: ["https://dns.example.com/hook"]),
            parse: { (text) throws(ValueFault) in try ServiceURL.parse(text, allowsLoopback: true) }, format: \.text
        )
    ).defined(as: "webhook_url")

    /// Hides the URL's query from people, since it may contain a token. They see only that there is a query.
    private static func hidingQuery(_ shape: ValueShape) -> ValueShape {
        ValueShape(
            schema: shape.schema, read: shape.read,
            write: { url, style in
                guard style.hidesSecrets, let query = url.text.firstIndex(of: "?") else { return .string(url.text) }
                return .string(url.text[...query] + "(hidden)")
            })
    }
}
