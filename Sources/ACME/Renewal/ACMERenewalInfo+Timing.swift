extension ACMERenewalInfo {
    /// How long to wait after a lasting error, in seconds: six hours (RFC 9773, section 4.3.3).
    package static let errorDelaySeconds: Int64 = 6 * 3600

    /// The time at which to renew, in seconds since 1970 (RFC 9773, section 4.2): the time chosen before, if it lies in
    /// the window, else one that `random` picks. A time in the past means now.
    package func instant(
        keeping chosen: Int64? = nil, random: (Range<Int64>) -> Int64 = { Int64.random(in: $0) }
    ) -> Int64 {
        if let chosen, start..<end ~= chosen { return chosen }
        return random(start..<end)
    }

    /// How long to wait before asking again, in seconds: the CA's Retry-After, limited to a minute to a day; six hours
    /// without one.
    package var checkDelaySeconds: Int64 {
        guard let retryAfter else { return Self.errorDelaySeconds }
        return min(max(retryAfter.components.seconds, 60), 86_400)
    }
}
