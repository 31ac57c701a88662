import Glibc
import SystemPackage

/// What a command prints, and whether in colour.
enum Terminal {
    /// Prints to the standard output.
    static func print(_ bytes: [UInt8]) throws {
        try FileDescriptor.standardOutput.writeAll(bytes)
    }

    /// Prints to the standard output.
    static func print(_ text: String) throws { try print(Array(text.utf8)) }

    /// Prints to the standard error; what can't be printed there can't be told.
    static func complain(_ text: String) {
        _ = try? FileDescriptor.standardError.writeAll(Array(text.utf8))
    }

    /// Prints a message to the standard error, and its hint on a line of its own.
    static func complain(_ message: String, hint: String?) {
        complain("\(message)\n" + (hint.map { "hint: \($0)\n" } ?? ""))
    }

    /// Whether to colour what goes there: a terminal that can, and nobody who asked for none (https://no-color.org).
    static func wantsColour(_ descriptor: FileDescriptor) -> Bool {
        isatty(descriptor.rawValue) == 1 && environment("NO_COLOR") == nil && environment("TERM") != "dumb"
    }

    /// An environment variable that is set and not empty.
    static func environment(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        let text = unsafe String(cString: value)
        return text.isEmpty ? nil : text
    }
}
