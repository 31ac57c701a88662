/// Reads times in the two formats that servers send. Results are in seconds since 1970.
package enum RemoteTime {
    /// Reads a time by RFC 3339, such as `2026-11-22T16:00:00.5+01:00`, and drops the fraction. Returns nil for other
    /// texts.
    package static func rfc3339(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard 20...40 ~= bytes.count, bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-"),
            bytes[10] | 0x20 == UInt8(ascii: "t"), let year = number(bytes[0..<4]), let month = number(bytes[5..<7]),
            let day = number(bytes[8..<10]), let time = timeOfDay(bytes[11..<19]),
            let date = days(year: year, month: month, day: day)
        else { return nil }
        var zone = bytes[19...]
        if zone.first == UInt8(ascii: ".") {
            let fraction = zone.dropFirst().prefix { number([$0]) != nil }
            guard !fraction.isEmpty else { return nil }
            zone = bytes[fraction.endIndex...]
        }
        guard let offset = offset(zone) else { return nil }
        return date * 86_400 + time - offset
    }

    /// Reads a date in the preferred format of HTTP, such as `Sun, 22 Nov 2026 16:00:00 GMT` (RFC 9110 section 5.6.7).
    static func http(_ text: String) -> Int64? {
        let parts = text.utf8.split(separator: UInt8(ascii: " "))
        guard parts.count == 6, let day = number(parts[1]), let year = number(parts[3]),
            let month = months.firstIndex(where: { $0.utf8.elementsEqual(parts[2]) }),
            let time = timeOfDay(parts[4]), parts[5].elementsEqual("GMT".utf8),
            let date = days(year: year, month: Int64(month) + 1, day: day)
        else { return nil }
        return date * 86_400 + time
    }

    /// Reads the field Retry-After, a number of seconds or a date (RFC 9110 section 10.2.3). Returns nil for other
    /// values. `now` is in seconds since 1970.
    package static func retryAfter(_ text: String?, now: Int64) -> Duration? {
        guard let text else { return nil }
        if let seconds = number(text.utf8) { return .seconds(seconds) }
        return http(text).map { .seconds(max(0, $0 - now)) }
    }

    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Reads a number of one to nine digits. The limit prevents an overflow.
    private static func number(_ digits: some Collection<UInt8>) -> Int64? {
        guard 1...9 ~= digits.count, digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else {
            return nil
        }
        return digits.reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
    }

    /// Reads `hh:mm:ss` as seconds since midnight. The leap second 23:59:60 becomes the next day's midnight.
    private static func timeOfDay(_ text: some Collection<UInt8>) -> Int64? {
        let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parts.count == 3, parts.allSatisfy({ $0.count == 2 }), let hour = number(parts[0]), hour < 24,
            let minute = number(parts[1]), minute < 60, let second = number(parts[2]), second <= 60
        else { return nil }
        return hour * 3600 + minute * 60 + second
    }

    /// Reads `Z` or `±hh:mm` as seconds east of UTC.
    private static func offset(_ text: ArraySlice<UInt8>) -> Int64? {
        guard let sign = text.first else { return nil }
        if sign | 0x20 == UInt8(ascii: "z") { return text.count == 1 ? 0 : nil }
        guard sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-"),
            let time = timeOfDay(Array(text.dropFirst()) + Array(":00".utf8))
        else { return nil }
        return sign == UInt8(ascii: "+") ? time : -time
    }

    /// Returns the number of days from 1970-01-01 to a date in the Gregorian calendar. Returns nil if the date does not
    /// exist or the year is not 1 to 9999.
    private static func days(year: Int64, month: Int64, day: Int64) -> Int64? {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths: [Int64] = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard 1...12 ~= month, 1...lengths[Int(month) - 1] ~= day, 1...9999 ~= year else { return nil }
        let past = year - 1
        let beforeYear = past * 365 + past / 4 - past / 100 + past / 400
        let beforeMonth = lengths.prefix(Int(month) - 1).reduce(0, +)
        return beforeYear + beforeMonth + day - 1 - 719_162
    }
}
