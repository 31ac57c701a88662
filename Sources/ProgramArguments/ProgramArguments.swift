import CProgramArguments
import Glibc

// ProgramArguments: the command line, taken from the kernel's call of the program and not from /proc.

/// The words of the command line. Swift's `CommandLine` reads /proc, and is empty where that is missing, as in a bare
/// chroot. Each command would then become its default, and a dry run an apply.
package enum ProgramArguments {
    /// The program's name, as it was called, and its arguments. The program ends when they are unknown.
    package static let all: [String] = {
        let count = aegis_argument_count()
        guard count > 0 else {
            let complaint = "cannot tell how this program was called\n"
            // The text outlives the call.
            _ = unsafe write(STDERR_FILENO, complaint, complaint.utf8.count)
            exit(EX_OSERR)
        }
        // The kernel stores the arguments for the life of the process, each ended by NUL.
        return (0..<count).map { unsafe String(cString: aegis_argument($0)) }
    }()

    /// The arguments without the program's name.
    package static var words: [String] { Array(all.dropFirst()) }
}
