import Remote

enum CloudflareTime {
    /// Reads a time in the form of RFC 3339 or as `2020-12-25 06:27:00 +0000 UTC`. Returns seconds since 1970, and nil
    /// for any other text.
    static func seconds(_ text: String) -> Int64? {
        if let seconds = RemoteTime.rfc3339(text) { return seconds }
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard 3...4 ~= words.count, words[2].utf8.count == 5, words.count == 3 || words[3] == "UTC" else { return nil }
        return RemoteTime.rfc3339("\(words[0])T\(words[1])\(words[2].prefix(3)):\(words[2].suffix(2))")
    }
}
