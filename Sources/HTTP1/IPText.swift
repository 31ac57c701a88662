/// Checks IP addresses in text form, as RFC 3986 section 3.2.2 defines it.
enum IPText {
    /// Whether the bytes are four decimal numbers up to 255, without leading zeros.
    static func isIPv4(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Bool {
        var at = start
        for part in 0..<4 {
            if part > 0 {
                guard at < end, bytes[at] == .ascii(".") else { return false }
                at += 1
            }
            let first = at
            var value = 0
            while at < end, at - first < 3, bytes[at].isDigit {
                value = value * 10 + Int(bytes[at] &- 0x30)
                at += 1
            }
            guard at > first, value <= 255, at - first == 1 || bytes[first] != .ascii("0") else { return false }
        }
        return at == end
    }

    /// Whether the bytes are eight groups of one to four hexadecimal digits. One "::" may replace one or more groups,
    /// and an IPv4 address may replace the last two groups.
    static func isIPv6(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Bool {
        var at = start
        var groups = 0
        var isCompressed = false
        if at < end, bytes[at] == .ascii(":") {
            guard at + 1 < end, bytes[at + 1] == .ascii(":") else { return false }
            isCompressed = true
            at += 2
            if at == end { return true }
        }
        while true {
            let first = at
            while at < end, bytes[at].hexValue != nil { at += 1 }
            if at < end, bytes[at] == .ascii(".") {
                return isIPv4(bytes, first, end) && (isCompressed ? groups <= 5 : groups == 6)
            }
            guard 1...4 ~= at - first else { return false }
            groups += 1
            guard groups <= 8 else { return false }
            if at == end { break }
            guard bytes[at] == .ascii(":"), at + 1 < end else { return false }
            at += 1
            if bytes[at] == .ascii(":") {
                guard !isCompressed else { return false }
                isCompressed = true
                at += 1
                if at == end { break }
            }
        }
        return isCompressed ? groups <= 7 : groups == 8
    }

    /// Whether the bytes have the form `IPvFuture`: "v", hexadecimal digits, ".", then bytes of `regName` or ":".
    static func isFuture(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Bool {
        guard start < end, bytes[start].lowercased == .ascii("v") else { return false }
        var at = start + 1
        while at < end, bytes[at].hexValue != nil { at += 1 }
        guard at > start + 1, at < end, bytes[at] == .ascii(".") else { return false }
        return (at + 1..<end).allSatisfy { ByteSet.regName.contains(bytes[$0]) || bytes[$0] == .ascii(":") }
            && at + 1 < end
    }
}
