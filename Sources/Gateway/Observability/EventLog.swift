import Glibc
import State

/// The gateway's log: a line an event, as text for people or JSON for machines, on the standard error. Never a secret.
public struct EventLog: Sendable {
    /// The form of a line.
    public enum Format: String, Sendable, CaseIterable {
        case text, json
    }

    /// How much an event matters.
    enum Level: String {
        case info, warning, error
    }

    private let format: Format

    /// A log.
    public init(_ format: Format) { self.format = format }

    func info(_ message: String, _ fields: [(String, String)] = []) { write(.info, message, fields) }
    /// Writes what people had better look at.
    public func warning(_ message: String, _ fields: [(String, String)] = []) { write(.warning, message, fields) }
    func error(_ message: String, _ fields: [(String, String)] = []) { write(.error, message, fields) }

    private func write(_ level: Level, _ message: String, _ fields: [(String, String)]) {
        let now = UTCTime.rfc3339(Int64(time(nil)))
        let line: String
        switch format {
        case .text:
            let details = fields.map { " \($0.0)=\(Self.plain($0.1))" }.joined()
            line = "\(now) \(level == .info ? "" : "\(level.rawValue): ")\(Self.plain(message))\(details)\n"
        case .json:
            let all = [("time", now), ("level", level.rawValue), ("message", message)] + fields
            line = "{" + all.map { "\(Self.quoted($0.0)):\(Self.quoted($0.1))" }.joined(separator: ",") + "}\n"
        }
        var bytes = Array(line.utf8)[...]
        while !bytes.isEmpty {
            // Within the slice.
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }

    /// Text that stays on its line.
    private static func plain(_ text: String) -> String {
        String(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? "?" : Character($0) })
    }

    /// A JSON string (RFC 8259 section 7).
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
