import Glibc
import SystemPackage

// PrivateFiles: directories and files that only their owner may read.

package enum PrivateDirectory {
    /// Makes a directory that only its owner may use, and any missing parents.
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

    /// Whether a directory belongs to /proc or /sys. Not even root can make a file there, though access(2) allows it.
    private static func isOfKernel(_ path: FilePath) -> Bool {
        guard let device = try? path.stat().deviceID, device != (try? FilePath("/").stat().deviceID) else {
            return false
        }
        return ["/proc", "/sys"].contains { (try? FilePath($0).stat().deviceID) == device }
    }

    /// The reason why a directory can't be made or written in; nil when none is known. Creates nothing.
    package static func obstacle(at path: FilePath) -> String? {
        var path = path.isEmpty ? "." : path
        while true {
            do {
                guard try path.stat().type == .directory else { return "'\(path)' is no directory" }
                guard !isOfKernel(path) else { return "nothing can be written in '\(path)', which is the kernel's" }
                // This is safe, since access(2) only reads the path, which outlives the call.
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

    /// Another process keeps the lock of a directory for too long.
    package struct Occupied: Error, CustomStringConvertible {
        package let directory: FilePath
        /// How long this process waited for the lock, in seconds.
        package let patienceSeconds: Int

        /// The error in one line for the operator, with a possible cause.
        package var description: String {
            "another process has had the lock of the directory '\(directory)' for \(patienceSeconds) s"
                + " (is one of aegis-apply or aegis-gateway stopped?)"
        }
    }

    /// Makes a directory, and runs `body` while this process holds a lock on it.
    ///
    /// - Parameter patienceSeconds: how long to wait for another process, which normally needs the lock only for
    ///   moments.
    /// - Throws: `Occupied` after that time, `Errno`, and the errors of `body`.
    package static func exclusively<Result>(
        in directory: FilePath, patienceSeconds: Int = 30, _ body: () throws -> Result
    ) throws -> Result {
        try make(directory)
        let folder = try FileDescriptor.open(
            directory.isEmpty ? "." : directory, .readOnly, options: [.closeOnExec, .directory])
        // Closing the descriptor releases the lock, also when the process dies.
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
