import Glibc

/// Formats a time, given in seconds since 1970.
package enum UTCTime {
    /// The time for people, such as `2026-11-22 16:00:00 UTC`.
    package static func text(_ seconds: Int64) -> String { text(seconds, "%Y-%m-%d %H:%M:%S UTC") }

    /// The time in the format of RFC 3339: `2026-11-22T16:00:00Z`.
    package static func rfc3339(_ seconds: Int64) -> String { text(seconds, "%Y-%m-%dT%H:%M:%SZ") }

    /// The time in the format of HTTP: `Sun, 22 Nov 2026 16:00:00 GMT` (RFC 9110 section 5.6.7).
    package static func http(_ seconds: Int64) -> String { text(seconds, "%a, %d %b %Y %H:%M:%S GMT") }

    /// The time in the combined log format: `22/Nov/2026:16:00:00 +0000`.
    package static func combinedLog(_ seconds: Int64) -> String { text(seconds, "%d/%b/%Y:%H:%M:%S +0000") }

    private static func text(_ seconds: Int64, _ format: String) -> String {
        var time = time_t(seconds)
        var parts = unsafe tm()
        var buffer = [CChar](repeating: 0, count: 64)
        // This is safe, since both calls write only into these variables, and strftime gets the buffer's length.
        let isKnown = unsafe gmtime_r(&time, &parts) != nil
        let length = isKnown ? unsafe strftime(&buffer, buffer.count, format, &parts) : 0
        return String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
