/// Texts about certificates that are due.
enum Renewal {
    /// How long a certificate is still valid, in words.
    static func remaining(until notAfter: Int64, at now: Int64) -> String {
        if notAfter <= now { return "has expired" }
        let days = (notAfter - now) / 86_400
        return days == 1 ? "expires in 1 day" : "expires in \(days) days"
    }
}
