import Glibc

enum Variable {
    /// Returns the value of an environment variable. Returns nil if the variable is not set or is empty.
    static func value(_ name: String) -> String? {
        guard let text = unsafe getenv(name) else { return nil }
        // This is safe, since `getenv` returns a text that ends with NUL, and nothing in the gateway changes the
        // environment.
        let value = unsafe String(cString: text)
        return value.isEmpty ? nil : value
    }
}
