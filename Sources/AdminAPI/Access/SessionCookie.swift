import Gateway
import Operations
import PKI
import State

/// The cookie with a session's secret. The prefix of its name makes browsers accept it only over TLS and for the whole
/// host, so no other name of the machine can set it (RFC 6265bis section 4.1.3.2).
enum SessionCookie {
    private static let name = AdminCookie.name

    /// The secrets in the request's session cookies, each once.
    static func values(in request: AdminRequest) -> Set<String> {
        let pairs = request.values(of: "cookie").flatMap { $0.split(separator: ";") }
        return Set(
            pairs.compactMap { pair in
                let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2, parts[0].trimmingBlanks == name else { return nil }
                return String(parts[1].trimmingBlanks)
            })
    }

    /// The header field that sets the cookie in a browser.
    static func setting(_ secret: String) -> (name: String, value: String) {
        ("Set-Cookie", "\(name)=\(secret); Max-Age=\(AdminSession.lifetimeSeconds); \(attributes)")
    }

    /// The header field that deletes the cookie in a browser.
    static let removal = (name: "Set-Cookie", value: "\(name)=; Max-Age=0; \(attributes)")

    private static let attributes = "Path=/; Secure; HttpOnly; SameSite=Strict"

    /// The token that a page sends with each change, as a protection against CSRF. It is a hash of the session's
    /// secret, which other pages can't read, and does not reveal the secret.
    static func changeToken(of secret: String) -> String {
        Base64URL.text(Digest.sha256(Array("change:\(secret)".utf8)))
    }
}
