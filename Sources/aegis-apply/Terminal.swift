import Glibc
import SystemPackage

enum Terminal {
    static func print(_ bytes: [UInt8]) throws {
        try FileDescriptor.standardOutput.writeAll(bytes)
    }

    /// Prints to the standard output. Throws when the output is closed or full.
    static func print(_ text: String) throws { try print(Array(text.utf8)) }

    /// Prints to the standard error. Errors are ignored: there is nowhere left to report them.
    static func complain(_ text: String) {
        _ = try? FileDescriptor.standardError.writeAll(Array(text.utf8))
    }

    /// Prints a message to the standard error, and its hint on a line of its own.
    static func complain(_ message: String, hint: String?) {
        complain("\(message)\n" + (hint.map { "hint: \($0)\n" } ?? ""))
    }

    /// Whether to use colour: the output is a terminal that can show it, and NO_COLOR is not set
    /// (https://no-color.org).
    static func wantsColour(_ descriptor: FileDescriptor) -> Bool {
        isatty(descriptor.rawValue) == 1 && environment("NO_COLOR") == nil && environment("TERM") != "dumb"
    }

    /// The value of an environment variable; nil when it is not set or empty.
    static func environment(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        let text = unsafe String(cString: value)
        return text.isEmpty ? nil : text
    }
}
