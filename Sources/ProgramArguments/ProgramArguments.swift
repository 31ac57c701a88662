import CProgramArguments
import Glibc

// ProgramArguments: how a program was started, told by whoever starts it and not by /proc.

/// The words of the command line. Swift's `CommandLine` reads /proc, and is empty where there is none, as in a bare chroot:
/// each command would become its default, and a dry run an apply.
package enum ProgramArguments {
    /// The program's name, as it was called, and its arguments. Ends the program when they are not known.
    package static let all: [String] = {
        let count = aegis_argument_count()
        guard count > 0 else {
            let complaint = "cannot tell how this program was called\n"
            // The text lives as long as the call.
            _ = unsafe write(STDERR_FILENO, complaint, complaint.utf8.count)
            exit(EX_OSERR)
        }
        // The kernel has put them there for the life of the process, each ending in NUL.
        return (0..<count).map { unsafe String(cString: aegis_argument($0)) }
    }()

    /// The arguments behind the program's name.
    package static var words: [String] { Array(all.dropFirst()) }
}
