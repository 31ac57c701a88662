import CProgramArguments
import Glibc

// ProgramArguments: the command line as the kernel passed it to the program, without reading /proc.

/// The words of the command line. Swift's `CommandLine` reads /proc, and is empty where /proc is missing, as in a bare
/// chroot. Without words every command would become the default command, so a dry run would apply the file.
package enum ProgramArguments {
    /// The program's name, as it was called, and its arguments. The program ends when they are unknown.
    package static let all: [String] = {
        let count = aegis_argument_count()
        guard count > 0 else {
            let complaint = "cannot tell how this program was called\n"
            // This is safe, since the call only reads the text, which outlives the call.
            _ = unsafe write(STDERR_FILENO, complaint, complaint.utf8.count)
            exit(EX_OSERR)
        }
        // This is safe, since the kernel stores the arguments for the life of the process, each ended by NUL.
        return (0..<count).map { unsafe String(cString: aegis_argument($0)) }
    }()

    /// The arguments without the program's name.
    package static var words: [String] { Array(all.dropFirst()) }
}
