import ConfigModel
import HTTP1
import PKI
import State

/// Collects a worker's access log lines. The sink gets the lines in batches, so that workers seldom wait for the sink's
/// lock.
final class AccessLogBuffer {
    private static let size = 64 << 10
    private static let flushMilliseconds: Int64 = 1000

    let hold: AccessLogHold
    let format: AccessLog.Format
    /// Identifies the buffer among those of its worker, so that a line is completed where it was started.
    let number: UInt32
    /// How many lines are started and not completed.
    private(set) var openLines = 0
    private let line = Scratch(capacity: 4 << 20)
    /// The most bytes that a line takes from one text of the client, such as the target. Escaping can make a text six
    /// times as long, and the line's buffer must have room for several texts.
    private static let longestText = 64 << 10
    private var lines: [UInt8] = []
    private var lineCount: UInt64 = 0
    private var dueAt: Int64?
    /// The formatted time, and the second for which it was formatted.
    private var time: (seconds: Int64, text: [UInt8]) = (.min, [])

    init(_ hold: AccessLogHold, _ format: AccessLog.Format, number: UInt32) {
        self.hold = hold
        self.format = format
        self.number = number
        lines.reserveCapacity(Self.size + 4096)
    }

    /// Writes the first part of a request's line to `queue`. In the JSON format this part is an object that is not
    /// closed yet. In the combined format a zero byte marks the place for the values that are known only later.
    /// `version` is the TLS version; nil stands for plain HTTP.
    func begin(
        _ queue: inout ByteQueue, _ head: Bytes, _ request: borrowing RequestHead, _ http: Exchange.ClientVersion,
        _ sender: RequestSender, _ peer: PeerAddress, _ version: TLSConnection.Version?, _ clock: LoopClock
    ) {
        line.clear()
        switch format {
        case .json:
            beginObject(sender.proxied, peer, version, clock)
            switch http {
            case .http10: line.append(",\"protocol\":\"http/1.0\",\"method\":\"")
            case .http11: line.append(",\"protocol\":\"http/1.1\",\"method\":\"")
            case .http2: line.append(",\"protocol\":\"h2\",\"method\":\"")
            }
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
            line.append("\"")
        case .combined:
            beginCombined(sender.proxied, peer, clock)
            appendEscaped(head[request.methodName.range])
            line.append(" ")
            appendEscaped(head[request.target.text.range])
            switch http {
            case .http10: line.append(" HTTP/1.0\" \0 ")
            case .http11: line.append(" HTTP/1.1\" \0 ")
            case .http2: line.append(" HTTP/2.0\" \0 ")
            }
            appendQuoted(head, request.fields.first(.referer))
            line.append(" ")
            appendQuoted(head, request.fields.first(.userAgent))
            line.append(" ")
            appendQuoted(head, request.host)
        }
        openLines += 1
        queue.append(line.bytes)
    }

    /// Adds the reason of a failure to the line that was started in `queue`. The combined format has no place for a
    /// reason.
    func add(error reason: StaticString, to queue: inout ByteQueue) {
        guard format == .json, !queue.isEmpty else { return }
        line.clear()
        line.append(",\"error\":\"")
        line.append(reason)
        line.append("\"")
        queue.append(line.bytes)
    }

    /// Completes a line that was started here, and adds it to the batch. `isCut` says that the client did not get the
    /// whole answer. A line of the combined format then ends with X, like `%X` of Apache.
    func end(
        _ start: Bytes, status: Int, callStatus: UInt8, bytes: UInt64, isCut: Bool, nanoseconds: UInt64,
        _ id: RequestID,
        upstream: [UInt8]?
    ) {
        openLines -= 1
        line.clear()
        switch format {
        case .json:
            line.append(start)
            line.append(",\"status\":")
            line.append(decimal: UInt64(status))
            if callStatus != CallStatus.unknown {
                line.append(",\"grpc_status\":")
                line.append(decimal: UInt64(callStatus))
            }
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
            var split = 0
            while split < start.count, start[split] != 0 { split += 1 }
            line.append(start[0..<split])
            line.append(decimal: UInt64(status))
            line.append(" ")
            line.append(decimal: bytes)
            line.append(start.from(min(start.count, split + 1)))
            line.append(isCut ? " X\n" : "\n")
        }
        add()
    }

    /// Adds a line for a request that was refused before it had an exchange.
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

    /// Writes the start of a JSON object. The last member is `scheme`, or for TLS `tls_version`.
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

    /// Begins a line of the combined format, up to the opening quotation mark of the request line.
    private func beginCombined(_ proxied: PeerAddress?, _ peer: PeerAddress, _ clock: LoopClock) {
        if let proxied { proxied.write(to: line) } else { peer.write(to: line) }
        line.append(" - - [")
        append(time: clock.seconds)
        line.append("] \"")
    }

    /// Adds a text in quotation marks, or `"-"` if there is no text.
    private func appendQuoted(_ head: Bytes, _ text: ByteRange?) {
        guard let text, !text.isEmpty else { return line.append("\"-\"") }
        line.append("\"")
        appendEscaped(head[text.range])
        line.append("\"")
    }

    /// Writes the duration in milliseconds, with three decimals.
    private func appendMilliseconds(_ nanoseconds: UInt64) {
        line.append(decimal: nanoseconds / 1_000_000)
        line.append(".")
        let rest = nanoseconds / 1000 % 1000
        if rest < 100 { line.append("0") }
        if rest < 10 { line.append("0") }
        line.append(decimal: rest)
    }

    /// The text is formatted only when the second changes.
    private func append(time seconds: Int64) {
        if time.seconds != seconds {
            let text = format == .json ? UTCTime.rfc3339(seconds) : UTCTime.combinedLog(seconds)
            time = (seconds, Array(text.utf8))
        }
        line.append(time.text)
    }

    private func add() {
        lines.append(contentsOf: line.bytes)
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
        hold.sink.enqueue(lines, count: lineCount)
        lines = []
        lines.reserveCapacity(Self.size + 4096)
        (lineCount, dueAt) = (0, nil)
    }

    /// Adds a text from the client. Quotation marks, backslashes, control characters and bytes beyond ASCII are
    /// escaped, so that the text can't end the quoted string that contains it. Bytes beyond ASCII are treated as
    /// Latin-1.
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
    /// The offset of the first byte at or after `start` that must be escaped in a log. Equal to `count` if there is
    /// none.
    fileprivate func firstToEscape(from start: Int) -> Int {
        let raw = unsafe span.bytes
        var at = start
        while at + 8 <= count {
            // This is safe, since the eight bytes are within the span, as the loop's condition ensures. Any eight bytes
            // are a valid UInt64.
            let word = unsafe UInt64(
                littleEndian: raw.unsafeLoadUnaligned(fromUncheckedByteOffset: at, as: UInt64.self))
            // The top bit of a byte in `found` is set if the byte is below 32, above 126, a quotation mark or a
            // backslash. A borrow can set a wrong bit, but only above a correct bit. Only the lowest set bit is used.
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
