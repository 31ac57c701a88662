import Glibc
import SystemPackage

extension FilePath {
    /// Whether the user of this process may not read the file or enter its directory.
    package var isDenied: Bool {
        // This is safe, since access(2) reads the path only during the call.
        unsafe withPlatformString { unsafe access($0, R_OK) } != 0 && errno == EACCES
    }
}
