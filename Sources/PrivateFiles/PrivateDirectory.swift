import Glibc
import SystemPackage

// PrivateFiles: directories that hold what only their owner may read.

/// Directories of the owner alone.
public enum PrivateDirectory {
    /// Makes a directory for the owner alone, with those above it.
    public static func make(_ path: FilePath) throws {
        guard !path.isEmpty, path != ".", path != "/" else { return }
        if unsafe path.withPlatformString({ unsafe mkdir($0, 0o700) }) == 0 { return }
        switch Errno(rawValue: errno) {
        case .fileExists: return
        case .noSuchFileOrDirectory:
            try make(path.removingLastComponent())
            if unsafe path.withPlatformString({ unsafe mkdir($0, 0o700) }) != 0, errno != EEXIST {
                throw Errno(rawValue: errno)
            }
        case let error: throw error
        }
    }

    /// Makes a directory and does something in it that no other process does there meanwhile.
    public static func exclusively<Result>(in directory: FilePath, _ body: () throws -> Result) throws -> Result {
        try make(directory)
        let folder = try FileDescriptor.open(
            directory.isEmpty ? "." : directory, .readOnly, options: [.closeOnExec, .directory])
        // The lock goes with the descriptor, also when the process dies.
        return try folder.closeAfter {
            while flock(folder.rawValue, LOCK_EX) != 0 {
                guard errno == EINTR else { throw Errno(rawValue: errno) }
            }
            return try body()
        }
    }
}
