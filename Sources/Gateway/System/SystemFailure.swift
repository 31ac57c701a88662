import Glibc

/// A failed system call, with its `errno`.
package struct SystemFailure: Error, Equatable, CustomStringConvertible {
    /// The name of the call, such as `bind`.
    package let call: String
    /// The `errno` that the call set.
    package let code: Int32

    /// Creates the failure of the call that was just made, from `errno`.
    init(_ call: String) {
        code = errno
        self.call = call
    }

    init(_ call: String, code: Int32) {
        self.call = call
        self.code = code
    }

    /// The call and the system's message for the error.
    package var description: String { "\(call): \(Self.text(code))" }

    /// The system's message for an `errno`, such as "Connection refused".
    static func text(_ code: Int32) -> String {
        // For known codes glibc returns a constant text, for others a text in a buffer of this thread. Both last long
        // enough to be copied.
        unsafe String(cString: strerror(code))
    }
}
