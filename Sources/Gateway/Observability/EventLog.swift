import Glibc
import State
import Synchronization

/// The gateway's log on the standard error: one line for each event, as text or JSON. Secrets are never logged.
///
/// The log never waits. If the standard error has no room for a line, the line is lost and counted.
package struct EventLog: Sendable {
    package enum Format: String, Sendable, CaseIterable {
        case text, json
    }

    enum Level: String {
        case info, warning, error
    }

    private let format: Format
    private let output = Output()

    /// Longer lines are cut to this length. When poll(2) reports room in a pipe, the pipe accepts at least this many
    /// bytes (pipe(7)).
    private static let maximumBytes = 4096

    /// All copies of the log share this object, so that lines are written one at a time.
    private final class Output: Sendable {
        private struct State {
            var lost = 0
            /// Whether the last line was written only in part, for example because a disk was full.
            var isWithinLine = false
        }

        private let state = Mutex(State())

        /// Writes the line if the standard error has room. If earlier lines were lost, `account` makes a line that
        /// reports their number.
        func write(_ line: [UInt8], account: (Int) -> [UInt8]) {
            state.withLock { state in
                if state.lost > 0, Self.writeAtOnce(account(state.lost), &state) { state.lost = 0 }
                if state.lost > 0 || !Self.writeAtOnce(line, &state) { state.lost += 1 }
            }
        }

        private static func writeAtOnce(_ line: [UInt8], _ state: inout State) -> Bool {
            var output = [pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)]
            guard Poll.wait(for: &output, milliseconds: 0) == 1, output[0].revents & Int16(POLLOUT) != 0 else {
                return false
            }
            let text = state.isWithinLine ? [UInt8(ascii: "\n")] + line : line
            var bytes = text[...]
            while !bytes.isEmpty {
                // This is safe, since the pointer and the count are those of the slice, which outlives the call.
                let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return false }
                bytes = bytes.dropFirst(count)
                state.isWithinLine = bytes.first != nil
            }
            return true
        }
    }

    package init(_ format: Format) { self.format = format }

    func info(_ message: String, _ fields: [(String, String)] = []) { write(.info, message, fields) }
    package func warning(_ message: String, _ fields: [(String, String)] = []) { write(.warning, message, fields) }
    func error(_ message: String, _ fields: [(String, String)] = []) { write(.error, message, fields) }

    private func write(_ level: Level, _ message: String, _ fields: [(String, String)]) {
        output.write(line(level, message, fields)) { count in
            line(.warning, "\(count) lines of this log were lost: there was no room for them", [])
        }
    }

    private func line(_ level: Level, _ message: String, _ fields: [(String, String)]) -> [UInt8] {
        let now = UTCTime.rfc3339(Int64(time(nil)))
        let line: String
        switch format {
        case .text:
            let details = fields.map { " \($0.0)=\(Self.value($0.1))" }.joined()
            line = "\(now) \(level == .info ? "" : "\(level.rawValue): ")\(Self.plain(message))\(details)\n"
        case .json:
            let all = [("time", now), ("level", level.rawValue), ("message", message)] + fields
            line = "{" + all.map { "\(Self.quoted($0.0)):\(Self.quoted($0.1))" }.joined(separator: ",") + "}\n"
        }
        let bytes = Array(line.utf8)
        guard bytes.count > Self.maximumBytes else { return bytes }
        return bytes.prefix(Self.maximumBytes - 1) + [UInt8(ascii: "\n")]
    }

    /// Replaces control characters and line separators with `?`, so that each event stays on one line.
    private static func plain(_ text: String) -> String {
        String(text.unicodeScalars.map { breaksLine($0) ? "?" : Character($0) })
    }

    private static func breaksLine(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }

    /// A field's value in the text format, quoted unless it is one plain word (logfmt). So a value from a peer, such as
    /// the subject of a certificate, can't look like further fields.
    static func value(_ text: String) -> String {
        let plain = plain(text)
        let isWord =
            !plain.isEmpty
            && plain.unicodeScalars.allSatisfy {
                !$0.properties.isWhitespace && $0 != "=" && $0 != "\"" && $0 != "\\"
            }
        return isWord ? plain : quoted(plain)
    }

    /// The text as a JSON string, with its quotation marks (RFC 8259 section 7).
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
