import Synchronization

/// Rules between the arguments of a command. ArgumentParser checks them before it reports unknown options, and takes
/// the value of an unknown option for another argument. So the error about a rule may be about something that the user
/// did not write.
package enum ArgumentRules {
    private static let areOff = Mutex(false)

    /// Checks rules, unless `unknownFirst` has turned them off.
    package static func check(_ rules: () throws -> Void) throws {
        guard !areOff.withLock({ $0 }) else { return }
        try rules()
    }

    /// Parses arguments. After an error, parses them again without the rules. If this fails too, throws its error, such
    /// as the one about an unknown option; otherwise throws the first error.
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
