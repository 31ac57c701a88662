/// When a certificate is due (the practice of certmagic and lego: a third of the lifetime left, half of a short one).
public enum Renewal {
    private static let shortLifetimeSeconds: Int64 = 10 * 86_400

    /// From when on a certificate is renewed; all times in seconds since 1970.
    public static func dueAt(notBefore: Int64, notAfter: Int64) -> Int64 {
        let lifetime = max(0, notAfter - notBefore)
        return notAfter - lifetime / (lifetime < shortLifetimeSeconds ? 2 : 3)
    }

    /// What is left of a certificate, in words.
    static func remaining(until notAfter: Int64, at now: Int64) -> String {
        if notAfter <= now { return "has expired" }
        let days = (notAfter - now) / 86_400
        return days == 1 ? "expires in 1 day" : "expires in \(days) days"
    }
}
