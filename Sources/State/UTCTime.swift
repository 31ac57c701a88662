import Glibc

/// Times for people and logs.
package enum UTCTime {
    /// Seconds since 1970 as `2026-11-22 16:00:00 UTC`.
    package static func text(_ seconds: Int64) -> String { text(seconds, "%Y-%m-%d %H:%M:%S UTC") }

    /// Seconds since 1970 as RFC 3339 has it: `2026-11-22T16:00:00Z`.
    package static func rfc3339(_ seconds: Int64) -> String { text(seconds, "%Y-%m-%dT%H:%M:%SZ") }

    /// Seconds since 1970 as HTTP has it: `Sun, 22 Nov 2026 16:00:00 GMT` (RFC 9110 section 5.6.7).
    package static func http(_ seconds: Int64) -> String { text(seconds, "%a, %d %b %Y %H:%M:%S GMT") }

    /// Seconds since 1970 as the combined log format has it: `22/Nov/2026:16:00:00 +0000`.
    package static func combinedLog(_ seconds: Int64) -> String { text(seconds, "%d/%b/%Y:%H:%M:%S +0000") }

    private static func text(_ seconds: Int64, _ format: String) -> String {
        var time = time_t(seconds)
        var parts = unsafe tm()
        var buffer = [CChar](repeating: 0, count: 64)
        // Both write into the given places alone; the result's length is known.
        let isKnown = unsafe gmtime_r(&time, &parts) != nil
        let length = isKnown ? unsafe strftime(&buffer, buffer.count, format, &parts) : 0
        return String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
