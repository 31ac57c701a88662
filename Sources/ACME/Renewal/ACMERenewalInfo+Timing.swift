extension ACMERenewalInfo {
    /// When to ask again after lasting errors, in seconds: six hours (RFC 9773, section 4.3.3).
    package static let errorDelaySeconds: Int64 = 6 * 3600

    /// The instant at which to renew, in seconds since 1970 (RFC 9773, section 4.2): the one that was chosen before, as long
    /// as it lies in the window; else one that `random` picks. One that is past means now.
    package func instant(
        keeping chosen: Int64? = nil, random: (Range<Int64>) -> Int64 = { Int64.random(in: $0) }
    ) -> Int64 {
        if let chosen, start..<end ~= chosen { return chosen }
        return random(start..<end)
    }

    /// After how many seconds to ask again: as the CA says within a minute and a day, six hours when it doesn't.
    package var checkDelaySeconds: Int64 {
        guard let retryAfter else { return Self.errorDelaySeconds }
        return min(max(retryAfter.components.seconds, 60), 86_400)
    }
}
