import ConfigModel
import HTTP1
import PKI
import State

/// A worker's lines until they go to the sink, together.
final class AccessLogBuffer {
    private static let size = 64 << 10
    private static let flushMilliseconds: Int64 = 1000

    private let sink: AccessLogSink
    private let format: AccessLog.Format
    private let line = Scratch(capacity: 4 << 20)
    /// How much of a client's text goes into a line, in bytes: escaped it may be six times as long, and a line has several.
    private static let longestText = 64 << 10
    private var lines: [UInt8] = []
    private var lineCount: UInt64 = 0
    private var dueAt: Int64?
    /// A second, and its text in the format's way.
    private var time: (seconds: Int64, text: [UInt8]) = (.min, [])

    init(_ sink: AccessLogSink, _ format: AccessLog.Format) {
        self.sink = sink
        self.format = format
        lines.reserveCapacity(Self.size + 4096)
    }

    /// Keeps what the line will say of a request; two parts with a zero byte between, around what only the end knows.
    /// `version` is that of TLS; nil without.
    func begin(
        _ queue: inout ByteQueue, _ head: Bytes, _ request: borrowing RequestHead, _ sender: RequestSender,
        _ peer: PeerAddress, _ version: TLSConnection.Version?, _ clock: LoopClock
    ) {
        line.clear()
        switch format {
        case .json:
            beginObject(sender.proxied, peer, version, clock)
            line.append(",\"method\":\"")
            appendEscaped(head[request.methodName.range])
            line.append("\",\"host\":\"")
            appendEscaped(head[request.host.range])
            line.append("\",\"target\":\"")
            appendEscaped(head[request.target.text.range])
            if let value = request.fields.first(.referer) {
                line.append("\",\"referer\":\"")
                appendEscaped(head[value.range])
            }
            if let value = request.fields.first(.userAgent) {
                line.append("\",\"user_agent\":\"")
                appendEscaped(head[value.range])
            }
            line.append("\"\0")
        case .combined:
            beginCombined(sender.proxied, peer, clock)
            appendEscaped(head[request.methodName.range])
            line.append(" ")
            appendEscaped(head[request.target.text.range])
            line.append(request.version == .http11 ? " HTTP/1.1\" \0 " : " HTTP/1.0\" \0 ")
            appendQuoted(head, request.fields.first(.referer))
            line.append(" ")
            appendQuoted(head, request.fields.first(.userAgent))
            line.append(" ")
            appendQuoted(head, request.host)
        }
        queue.append(line.bytes)
    }

    /// Completes a line.
    func end(
        _ parts: Bytes, status: Int, bytes: UInt64, nanoseconds: UInt64, _ id: RequestID, upstream: [UInt8]?
    ) {
        var split = 0
        while split < parts.count, parts[split] != 0 { split += 1 }
        line.clear()
        line.append(parts[0..<split])
        switch format {
        case .json:
            line.append(",\"status\":")
            line.append(decimal: UInt64(status))
            line.append(",\"bytes\":")
            line.append(decimal: bytes)
            line.append(",\"duration_ms\":")
            appendMilliseconds(nanoseconds)
            line.append(",\"request_id\":\"")
            id.write(to: line)
            if let upstream {
                line.append("\",\"upstream\":\"")
                line.append(upstream)
            }
            line.append("\"}\n")
        case .combined:
            line.append(decimal: UInt64(status))
            line.append(" ")
            line.append(decimal: bytes)
            line.append(parts.from(min(parts.count, split + 1)))
            line.append("\n")
        }
        add()
    }

    /// A line for a request that could not be read.
    func recordRefusal(
        _ status: Int, _ reason: StaticString, bytes: UInt64, _ peer: PeerAddress, _ version: TLSConnection.Version?,
        _ id: RequestID, _ clock: LoopClock
    ) {
        line.clear()
        switch format {
        case .json:
            beginObject(nil, peer, version, clock)
            line.append(",\"status\":")
            line.append(decimal: UInt64(status))
            line.append(",\"bytes\":")
            line.append(decimal: bytes)
            line.append(",\"error\":\"")
            line.append(reason)
            line.append("\",\"request_id\":\"")
            id.write(to: line)
            line.append("\"}\n")
        case .combined:
            beginCombined(nil, peer, clock)
            line.append("-\" ")
            line.append(decimal: UInt64(status))
            line.append(" ")
            line.append(decimal: bytes)
            line.append(" \"-\" \"-\" \"-\"\n")
        }
        add()
    }

    // MARK: Parts of lines

    /// Begins an object of JSON, up to the value of `scheme` or `tls_version`.
    private func beginObject(
        _ proxied: PeerAddress?, _ peer: PeerAddress, _ version: TLSConnection.Version?, _ clock: LoopClock
    ) {
        line.append("{\"time\":\"")
        append(time: clock.seconds)
        line.append("\",\"client\":\"")
        if let proxied {
            proxied.write(to: line)
            line.append("\",\"peer\":\"")
        }
        peer.write(to: line)
        switch version {
        case nil: line.append("\",\"scheme\":\"http\"")
        case .v1_2: line.append("\",\"scheme\":\"https\",\"tls_version\":\"1.2\"")
        case .v1_3: line.append("\",\"scheme\":\"https\",\"tls_version\":\"1.3\"")
        }
    }

    /// Begins a combined line, up to the request's own.
    private func beginCombined(_ proxied: PeerAddress?, _ peer: PeerAddress, _ clock: LoopClock) {
        if let proxied { proxied.write(to: line) } else { peer.write(to: line) }
        line.append(" - - [")
        append(time: clock.seconds)
        line.append("] \"")
    }

    /// Adds a text in quotation marks; `-` when there is none.
    private func appendQuoted(_ head: Bytes, _ text: ByteRange?) {
        guard let text, !text.isEmpty else { return line.append("\"-\"") }
        line.append("\"")
        appendEscaped(head[text.range])
        line.append("\"")
    }

    /// Adds a time in milliseconds, with microseconds behind the point.
    private func appendMilliseconds(_ nanoseconds: UInt64) {
        line.append(decimal: nanoseconds / 1_000_000)
        line.append(".")
        let rest = nanoseconds / 1000 % 1000
        if rest < 100 { line.append("0") }
        if rest < 10 { line.append("0") }
        line.append(decimal: rest)
    }

    /// Adds a time; its text is made once a second.
    private func append(time seconds: Int64) {
        if time.seconds != seconds {
            let text = format == .json ? UTCTime.rfc3339(seconds) : UTCTime.combinedLog(seconds)
            time = (seconds, Array(text.utf8))
        }
        line.append(time.text)
    }

    private func add() {
        unsafe lines.append(contentsOf: line.bytes.buffer)
        lineCount += 1
        if lines.count >= Self.size { flush() }
    }

    func flushIfDue(_ now: Int64) {
        guard lineCount > 0 else { return }
        guard let dueAt else {
            self.dueAt = now + Self.flushMilliseconds
            return
        }
        if now >= dueAt { flush() }
    }

    func flush() {
        guard lineCount > 0 else { return }
        sink.take(lines, lines: lineCount)
        lines = []
        lines.reserveCapacity(Self.size + 4096)
        (lineCount, dueAt) = (0, nil)
    }

    /// Adds text so that it can't end the string that it stands in, in JSON and in the combined format alike; what is not
    /// ASCII is taken as Latin-1.
    private func appendEscaped(_ text: Bytes) {
        defer { if text.count > Self.longestText { line.append("...") } }
        let end = min(text.count, Self.longestText)
        var at = 0
        while at < end {
            let stop = min(text.firstToEscape(from: at), end)
            line.append(text[at..<stop])
            guard stop < end else { return }
            let byte = text[stop]
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                line.append("\\")
                line.append(byte: byte)
            default:
                line.append(format == .json ? "\\u00" : "\\x")
                line.append(byte: Self.hexDigit(byte >> 4))
                line.append(byte: Self.hexDigit(byte & 0xF))
            }
            at = stop + 1
        }
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }
}

extension Bytes {
    /// The first byte at or after `start` that no string of a log may hold as it is; the count if there is none.
    fileprivate func firstToEscape(from start: Int) -> Int {
        let raw = unsafe span.bytes
        var at = start
        while at + 8 <= count {
            // Any eight bytes are a UInt64, and the loop's condition says that they are there.
            let word = unsafe UInt64(
                littleEndian: raw.unsafeLoadUnaligned(fromUncheckedByteOffset: at, as: UInt64.self))
            // A byte's top bit gets set where it is below 32, above 126, a quotation mark or a backslash. A borrow can set
            // wrong bits above a right one, never below, and the lowest is the one that counts.
            let low = word &- 0x2020_2020_2020_2020
            let delete = (word & 0x7F7F_7F7F_7F7F_7F7F) &+ 0x0101_0101_0101_0101
            let quote = (word ^ 0x2222_2222_2222_2222) &- 0x0101_0101_0101_0101
            let backslash = (word ^ 0x5C5C_5C5C_5C5C_5C5C) &- 0x0101_0101_0101_0101
            let found = (word | low | delete | quote | backslash) & 0x8080_8080_8080_8080
            if found != 0 { return at + found.trailingZeroBitCount / 8 }
            at += 8
        }
        while at < count, 0x20...0x7E ~= self[at], self[at] != UInt8(ascii: "\""), self[at] != UInt8(ascii: "\\") {
            at += 1
        }
        return at
    }
}
