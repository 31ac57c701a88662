import PKI
import State

extension CertificateChain {
    /// Why a newly issued chain can't be used; nil if it can. Only the leaf is judged: it must have all the names, be
    /// valid now, and be acceptable to clients. Clients may know other certificates above the leaf. `now` is in seconds
    /// since 1970.
    func misfit(for names: [String], now: Int64) -> (text: String, hint: String?)? {
        if let misfit = leaf.misfit(for: names, now: now) { return misfit }
        guard let refusal = refusal(now: now), refusal.isOfLeaf else { return nil }
        return ("is one that clients refuse: \(refusal)", nil)
    }

    /// Why clients refuse the chain. If the leaf is not valid at `now` (in seconds since 1970), the chain is judged at
    /// the nearest time at which the leaf is valid.
    func refusal(now: Int64) -> PeerRefusal? { refusal(at: min(max(now, leaf.notBefore), leaf.notAfter - 1)) }
}

extension Certificate {
    /// How far a CA's clock may be ahead of this machine's clock, in seconds.
    static let toleratedSkewSeconds: Int64 = 300

    /// The reason why a newly issued leaf can't be used: it lacks some of the names, or is not valid now. Nil if it can
    /// be used. `now` is in seconds since 1970.
    func misfit(for names: [String], now: Int64) -> (text: String, hint: String?)? {
        let own = Set(self.names.map(\.text))
        let missing = names.filter { !own.contains($0) }
        guard missing.isEmpty else { return ("is not for \(missing.joined(separator: ", "))", nil) }
        guard notBefore <= now + Self.toleratedSkewSeconds, now < notAfter else {
            return (
                "is valid from \(UTCTime.text(notBefore)) to \(UTCTime.text(notAfter)), and not now",
                "is this machine's clock right?"
            )
        }
        return nil
    }
}
