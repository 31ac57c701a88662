import Glibc

/// A system call that failed.
package struct SystemFailure: Error, Equatable, CustomStringConvertible {
    /// The call.
    package let call: String
    /// Its `errno`.
    package let code: Int32

    /// The failure of the call that was just made.
    init(_ call: String) {
        code = errno
        self.call = call
    }

    init(_ call: String, code: Int32) {
        self.call = call
        self.code = code
    }

    /// What went wrong, in the system's words.
    package var description: String { "\(call): \(Self.text(code))" }

    /// The system's words for an `errno`, such as "Connection refused".
    static func text(_ code: Int32) -> String {
        // A static text, as glibc gives it for all that it knows; of this thread for others.
        unsafe String(cString: strerror(code))
    }
}
