import HTTPClient
import PKI
import Remote

/// An answer in which Vault, or a proxy in front of it, refuses a call.
struct VaultRefusal {
    let status: Int
    /// Vault's messages, each in one line. Empty if the answer is not from Vault or has no message.
    let messages: [String]
    /// Whether the answer has the form of Vault's errors.
    let isFromVault: Bool
    let retryAfter: Duration?
    /// The start of an answer that is not from Vault.
    private let text: String

    private struct Body: Decodable {
        let errors: [String]
    }

    private struct Missing: Decodable {
        @IfReadable var errors: [String]?
    }

    /// The largest number of messages that are shown.
    private static let maximumMessages = 5

    /// Returns nil if the answer does not refuse the call. `now` is in seconds since 1970.
    init?(_ answer: HTTPResponse, hiding secrets: [SecretBytes], now: Int64) {
        guard !(200...299 ~= answer.status) else { return nil }
        status = answer.status
        let errors = try? RemoteJSON.decode(Body.self, from: answer.body).errors
        isFromVault = errors != nil
        let mask = SecretMask(secrets)
        messages = (errors ?? []).prefix(Self.maximumMessages).map { Self.line(mask.hiding(in: $0)) }
        retryAfter = RemoteTime.retryAfter(answer.value(of: "Retry-After"), now: now)
        text = Self.line(String(decoding: answer.body.prefix(300), as: UTF8.self))
    }

    /// Whether an answer only says that an object does not exist. The 404 for a missing mount has a message, and the
    /// 404 of a proxy is not JSON, so these don't count.
    static func isOnlyMissing(_ answer: HTTPResponse) -> Bool {
        guard answer.status == 404, let body = try? RemoteJSON.decode(Missing.self, from: answer.body) else {
            return false
        }
        return (body.errors ?? []).isEmpty
    }

    /// Makes one line of a message. From a message as Go programs write it, such as "1 error occurred:\n\t* permission
    /// denied\n\n", it takes "permission denied".
    private static func line(_ text: String) -> String {
        let words = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        let start = "1 error occurred: * "
        return (words.hasPrefix(start) ? String(words.dropFirst(start.count)) : words).oneLine(limit: 500)
    }

    /// Whether one of the messages contains this text.
    private func mentions(_ text: String) -> Bool { messages.contains { $0.contains(text) } }

    /// Whether the same call may succeed soon. Status 412 means that a replica does not have the newest data yet, and
    /// 429 that a quota is used up. A KV engine that was just mounted answers 400 until it has upgraded its data.
    var isTransient: Bool {
        status == 412 || status == 429 || 500...599 ~= status && status != 501
            || status == 400 && mentions("non-versioned")
    }

    /// Whether Vault may have done what the call requested, since a proxy may have lost Vault's answer.
    var mayHideSuccess: Bool { 500...599 ~= status && !mentions("Vault is sealed") }

    /// Makes an error from the refusal. `action` continues "Vault refuses to".
    func error(_ action: String, namespace: String?, hasToken: Bool) -> VaultError {
        let kind: VaultError.Kind = isTransient ? .unavailable : status == 403 ? .denied : .refused
        let said = messages.isEmpty ? "" : ": \(messages.joined(separator: "; "))"
        let subject = isFromVault ? "Vault refuses" : "the server refuses"
        return VaultError(
            kind, "\(subject) to \(action) (HTTP \(status))\(said)", hint: hint(namespace, hasToken),
            mayBeDone: mayHideSuccess,
            status: status, retryAfter: retryAfter)
    }

    private func hint(_ namespace: String?, _ hasToken: Bool) -> String? {
        guard isFromVault else {
            return text.contains("HTTP request to an HTTPS server")
                ? "this port speaks TLS: write https:// in the address"
                : "this is no answer of Vault's: is the address right, and does a proxy stand before it?"
        }
        if let known = Self.hints.first(where: { mentions($0.message) }) { return known.hint }
        let place =
            namespace == nil ? "is the mount right, and does it need a 'namespace'?" : "are mount and namespace right?"
        return switch status {
        // Without a token, Vault does not even say that a mount does not exist.
        case 403 where !hasToken:
            "does the role accept these credentials? If so, has Vault locked the role after refused logins, \(place)"
        case 403: "the token's policies must allow this\(namespace == nil ? "; does the path need a 'namespace'?" : "")"
        case 404: place
        case 405: "is the mount of the right kind?"
        case 412: "a replica is behind; asking again helps"
        case 429: "a rate quota of Vault limits these calls"
        default: nil
        }
    }

    /// Hints for messages of Vault 1.x and OpenBao 2.x.
    private static let hints: [(message: String, hint: String)] = [
        ("Vault is sealed", "unseal it: vault operator unseal"),
        ("local node not active", "the cluster has no active node at present; does it have a leader?"),
        ("unknown role", "the mount has no such role: is its name right?"),
        ("invalid role name", "the login method has no such role: is its name right?"),
        ("role requires keys of type", "set the role's key_type to 'any', or ask for a key of that type"),
        ("role requires a minimum of", "the role's key_bits ask for a longer key"),
        ("common_name field is required", "name a common name, or set require_cn=false in the role"),
        (
            "not allowed",
            "the role must allow the name: allowed_domains, allow_subdomains, allow_ip_sans, allowed_uri_sans"
        ),
        ("would result in", "the issuer itself ends sooner: ask for a shorter ttl, or renew the issuer"),
        (
            "with serial",
            "the mount knows no such certificate: those of roles with no_store=true can't be revoked by their number"
        ),
        ("no default issuer", "the PKI mount has no CA yet"),
        ("namespace not found", "is 'namespace' right?"),
        (
            "invalid role or secret ID",
            "one of the two is wrong, or the secret ID has expired or has no uses left (secret_id_ttl, secret_id_num_uses);"
                + " Aegis logs in again when one of them changes"
        ),
        (
            "no client certificate found",
            "no client certificate arrived at Vault: a load balancer in front of it must pass TLS through"
        ),
        ("invalid certificate or no client certificate", "the login method trusts another CA, or wants other names"),
        ("could not load", "the login method is mounted, but not configured"),
        ("missing role_id", "the role ID is empty"),
    ]
}
