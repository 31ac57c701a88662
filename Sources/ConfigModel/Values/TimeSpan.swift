/// Durations as the file writes them: a number and `ms`, `s`, `m`, `h` or `d`.
package enum TimeSpan {
    private static let units: [(name: String, milliseconds: Int64)] = [
        ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
    ]
    private static let meant = [
        "sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
        "hour": "h", "hours": "h", "hr": "h", "day": "d", "days": "d", "msec": "ms", "millis": "ms",
    ]
    static let unitPattern = "(ms|s|m|h|d)"

    package static func parse(_ text: String) throws(ValueFault) -> Duration {
        let (digits, unit) = Quantity.split(text)
        guard let number = Int64(digits) else {
            throw ValueFault("bad duration \(text.quotedForMessage)", hint: "write a number and a unit, such as 30s")
        }
        guard let factor = units.first(where: { $0.name == unit })?.milliseconds else {
            let word = unit.lowercased().filter { $0 != " " }
            let near = (meant[word] ?? units.first { $0.name == word }?.name).map { "did you mean \(digits)\($0)?" }
            throw ValueFault(
                "unknown unit \(unit.quotedForMessage) in \(text.quotedForMessage)",
                hint: near
                    ?? (unit.hasPrefix(".") ? "write whole numbers, such as 1500ms" : "units are ms, s, m, h and d"))
        }
        let (milliseconds, overflows) = number.multipliedReportingOverflow(by: factor)
        guard !overflows, milliseconds < 1 << 50 else {
            throw ValueFault("duration \(text.quotedForMessage) is too long")
        }
        return .milliseconds(milliseconds)
    }

    package static func format(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
        guard milliseconds > 0, let unit = units.first(where: { milliseconds % $0.milliseconds == 0 }) else {
            return "0"
        }
        return "\(milliseconds / unit.milliseconds)\(unit.name)"
    }
}

extension ValueShape where Value == Duration {
    /// A number with a unit such as `30s`, within a range.
    static func duration(in range: ClosedRange<Duration>) -> ValueShape {
        quantity(
            "a duration with a unit", units: "ms, s, m, h or d", unitPattern: TimeSpan.unitPattern, example: "30s",
            range: range, parse: TimeSpan.parse, format: TimeSpan.format, zero: .zero)
    }

    /// The shape of a time that the gateway waits for a peer: 1 ms to 1 d. Every wait is bounded.
    static let timeout = duration(in: .milliseconds(1) ... .seconds(86_400))
}
