import Gateway

/// Keeps pages of other origins from changing anything (CSRF).
///
/// A browser says in Origin and Sec-Fetch-Site where a request comes from. Other ports of this machine are other
/// origins, although browsers send them the same cookies. Programs send neither field.
enum OriginRule {
    /// Whether the request comes from the API's own origin, or from no page at all.
    static func isMet(by request: AdminRequest) -> Bool {
        let own = "https://\(request.authority.lowercased())"
        return request.values(of: "origin").allSatisfy { $0 == own }
            && request.values(of: "sec-fetch-site").allSatisfy { ["same-origin", "none"].contains($0) }
    }
}
