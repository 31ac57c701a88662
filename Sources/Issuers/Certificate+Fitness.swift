import PKI
import State

extension Certificate {
    /// The reason why a new leaf is not the wanted one: it lacks names, or is not valid now. Nil when it is the wanted
    /// one. `now` is in seconds since 1970.
    func misfit(for names: [String], now: Int64) -> (text: String, hint: String?)? {
        let own = Set(self.names.map(\.text))
        let missing = names.filter { !own.contains($0) }
        guard missing.isEmpty else { return ("is not for \(missing.joined(separator: ", "))", nil) }
        // The clock of the CA may differ a little from this one.
        guard notBefore <= now + 300, now < notAfter else {
            return (
                "is valid from \(UTCTime.text(notBefore)) to \(UTCTime.text(notAfter)), and not now",
                "is this machine's clock right?"
            )
        }
        return nil
    }
}
