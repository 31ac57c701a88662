import Glibc
import SystemPackage

// PrivateFiles: directories that hold what only their owner may read.

/// Directories of the owner alone.
package enum PrivateDirectory {
    /// Makes a directory for the owner alone, with those above it.
    package static func make(_ path: FilePath) throws {
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

    /// Why a directory can't be made, or nothing be written in it; nil where nothing is known to stand in the way. Makes nothing.
    package static func obstacle(at path: FilePath) -> String? {
        var path = path.isEmpty ? "." : path
        while true {
            do {
                guard try path.stat().type == .directory else { return "'\(path)' is no directory" }
                // access reads the path alone, which is lent to the call.
                let mayWrite = unsafe path.withPlatformString { unsafe access($0, W_OK | X_OK) } == 0
                return mayWrite ? nil : "nothing can be written in '\(path)': \(Errno(rawValue: errno))"
            } catch Errno.noSuchFileOrDirectory, Errno.notDirectory {
                let parent = path.removingLastComponent()
                path = parent.isEmpty ? "." : parent
            } catch {
                return "'\(path)': \(error)"
            }
        }
    }

    /// Another process works in a directory and does not come to an end.
    package struct Occupied: Error, CustomStringConvertible {
        /// Where.
        package let directory: FilePath
        /// How long we waited for it, in seconds.
        package let patienceSeconds: Int

        /// Where, for how long, and what may be the reason.
        package var description: String {
            "another process has had the lock of the directory '\(directory)' for \(patienceSeconds) s"
                + " (is one of aegis-apply or aegis-gateway stopped?)"
        }
    }

    /// Makes a directory and does something in it that no other process does there meanwhile.
    ///
    /// - Parameter patienceSeconds: how long another process may take, which never is more than moments.
    /// - Throws: `Occupied` after that; else `Errno`, and what `body` throws.
    package static func exclusively<Result>(
        in directory: FilePath, patienceSeconds: Int = 30, _ body: () throws -> Result
    ) throws -> Result {
        try make(directory)
        let folder = try FileDescriptor.open(
            directory.isEmpty ? "." : directory, .readOnly, options: [.closeOnExec, .directory])
        // The lock goes with the descriptor, also when the process dies.
        return try folder.closeAfter {
            let end = ContinuousClock.now + .seconds(patienceSeconds)
            while flock(folder.rawValue, LOCK_EX | LOCK_NB) != 0 {
                guard errno == EWOULDBLOCK || errno == EINTR else { throw Errno(rawValue: errno) }
                guard ContinuousClock.now < end else {
                    throw Occupied(directory: directory, patienceSeconds: patienceSeconds)
                }
                usleep(2_000)
            }
            return try body()
        }
    }
}
