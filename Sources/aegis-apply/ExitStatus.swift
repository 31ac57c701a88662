import ArgumentParser

/// The exit codes beyond ArgumentParser's own (0, 1, and 64 for wrong usage). After a signal the program ends by that
/// signal, which shells report as 128 plus its number (`StopSignals`).
enum ExitStatus {
    /// There are changes (`--dry-run --detailed-exitcode`).
    static let hasChanges = ExitCode(2)
    /// At least one item failed, a dry run found that an apply would fail, or a check found a problem.
    static let itemsFailed = ExitCode(3)
    /// The file is invalid, or contradicts what the admin API owns.
    static let invalidFile = ExitCode(65)
    /// Another process holds a lock that the command needs, such as another apply.
    static let locked = ExitCode(75)

    /// The exit codes as `--help` prints them. `docs/exit-codes.md` has the same list.
    static let help = """
        Exit codes:
          0   done, or nothing to do
          1   could not run
          2   there are changes (--dry-run --detailed-exitcode)
          3   at least one item failed, or would fail; all others are in force
          64  wrong usage
          65  the file is invalid, or contradicts what the admin API owns
          75  another apply is running
          129, 130, 143  stopped by SIGHUP, SIGINT (Ctrl-C) or SIGTERM; the next apply continues
        """
}
