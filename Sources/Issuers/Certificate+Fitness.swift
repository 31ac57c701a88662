import PKI
import State

extension Certificate {
    /// Why a new leaf is not what was asked for: that it is not for all names, or not valid now; nil when it is. `now` is in
    /// seconds since 1970.
    func misfit(for names: [String], now: Int64) -> (text: String, hint: String?)? {
        let own = Set(self.names.map(\.text))
        let missing = names.filter { !own.contains($0) }
        guard missing.isEmpty else { return ("is not for \(missing.joined(separator: ", "))", nil) }
        // Clocks may differ a little.
        guard notBefore <= now + 300, now < notAfter else {
            return (
                "is valid from \(UTCTime.text(notBefore)) to \(UTCTime.text(notAfter)), and not now",
                "is this machine's clock right?"
            )
        }
        return nil
    }
}
