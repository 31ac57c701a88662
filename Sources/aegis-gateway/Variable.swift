import Glibc

enum Variable {
    /// The value of an environment variable. Nil if the variable is not set or is empty.
    static func value(_ name: String) -> String? {
        guard let text = unsafe getenv(name) else { return nil }
        // This is safe, since getenv returns a NUL-terminated text, and no code of the gateway changes the environment.
        let value = unsafe String(cString: text)
        return value.isEmpty ? nil : value
    }
}
