import PKI
import State

extension CertificateChain {
    /// The reason why a newly issued chain can't be used, whatever certificates above the leaf clients know: the leaf
    /// lacks some of the names, is not valid now, or is one that clients refuse. Nil if it can be used. `now` is in
    /// seconds since 1970.
    func misfit(for names: [String], now: Int64) -> (text: String, hint: String?)? {
        if let misfit = leaf.misfit(for: names, now: now) { return misfit }
        guard let refusal = refusal(now: now), refusal.isOfLeaf else { return nil }
        return ("is one that clients refuse: \(refusal)", nil)
    }

    /// Why clients refuse the chain. A leaf that has expired, or is not valid yet, is judged as it is while it is valid.
    /// `now` is in seconds since 1970.
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
