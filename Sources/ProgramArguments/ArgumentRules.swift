import Synchronization

/// Rules between the arguments of a command. ArgumentParser checks them before it looks for unknown options, of which it
/// takes the values for other arguments. So its complaint may be about something that the user did not write.
package enum ArgumentRules {
    private static let areOff = Mutex(false)

    /// Checks rules, unless `unknownFirst` has turned them off.
    package static func check(_ rules: () throws -> Void) throws {
        guard !areOff.withLock({ $0 }) else { return }
        try rules()
    }

    /// Parses arguments. If that fails, and also without rules, throws the error without rules.
    package static func unknownFirst<Command>(_ parse: () throws -> Command) throws -> Command {
        do {
            return try parse()
        } catch {
            areOff.withLock { $0 = true }
            defer { areOff.withLock { $0 = false } }
            _ = try parse()
            throw error
        }
    }
}
