extension ACMERenewalInfo {
    /// The delay after an error that will probably persist, in seconds: six hours (RFC 9773 section 4.3.3).
    package static let errorDelaySeconds: Int64 = 6 * 3600

    /// The time for the renewal, in seconds since 1970 (RFC 9773 section 4.2). It is `chosen` if that lies in the
    /// suggested period, otherwise a random time in the period. The result may be in the past, which means to renew
    /// now.
    package func instant(
        keeping chosen: Int64? = nil, random: (Range<Int64>) -> Int64 = { Int64.random(in: $0) }
    ) -> Int64 {
        if let chosen, start..<end ~= chosen { return chosen }
        return random(start..<end)
    }

    /// The delay before the CA is asked again, in seconds. It is the CA's Retry-After, but at least a minute and at
    /// most a day. Without Retry-After, it is six hours.
    package var checkDelaySeconds: Int64 {
        guard let retryAfter else { return Self.errorDelaySeconds }
        return min(max(retryAfter.components.seconds, 60), 86_400)
    }
}
