import Gateway

/// Keeps pages of other origins from changing anything (CSRF).
///
/// A browser says in Origin and Sec-Fetch-Site where a request comes from. Other ports of this machine are other
/// origins, although browsers send them the same cookies. Programs send neither field.
enum OriginRule {
    /// Whether the request comes from the API's own origin, or from no page at all.
    static func isMet(by request: AdminRequest) -> Bool {
        request.values(of: "origin").allSatisfy { $0 == own(request) }
            && request.values(of: "sec-fetch-site").allSatisfy { ["same-origin", "none"].contains($0) }
    }

    /// Whether a browser says that the request comes from the admin page.
    static func isProven(by request: AdminRequest) -> Bool {
        request.values(of: "origin") == [own(request)] && request.values(of: "sec-fetch-site") == ["same-origin"]
    }

    private static func own(_ request: AdminRequest) -> String { "https://\(request.authority.lowercased())" }
}
