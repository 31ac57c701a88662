import Glibc

package struct SystemFailure: Error, Equatable, CustomStringConvertible {
    /// The name of the system call, such as `bind`.
    package let call: String
    /// The `errno` that the system call set.
    package let code: Int32

    /// Must be called right after the failed call, since the next call may change `errno`.
    init(_ call: String) {
        code = errno
        self.call = call
    }

    init(_ call: String, code: Int32) {
        self.call = call
        self.code = code
    }

    package var description: String { "\(call): \(Self.text(code))" }

    /// The system's message for an `errno`, such as "Connection refused".
    static func text(_ code: Int32) -> String {
        // This is safe, since the text is copied at once. glibc returns a constant text for known codes, and a buffer
        // of this thread for other codes.
        unsafe String(cString: strerror(code))
    }
}
