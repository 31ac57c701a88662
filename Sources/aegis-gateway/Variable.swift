import Glibc

/// Variables of the environment.
enum Variable {
    /// The value; nil when it is not set or empty.
    static func value(_ name: String) -> String? {
        guard let text = unsafe getenv(name) else { return nil }
        // A text of the environment, which nobody changes.
        let value = unsafe String(cString: text)
        return value.isEmpty ? nil : value
    }
}
