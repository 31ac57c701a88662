import Glibc
import PKI
import SystemPackage

/// Files that only their owner can read from the moment they exist. After a crash a file is either old or new, never
/// half written.
package enum PrivateFile {
    /// The largest file that is read: 1 MiB, far more than any key or chain has.
    package static let maxBytes = 1 << 20

    /// The first `maxBytes` of a file; nil when there is no such file.
    static func read(_ path: FilePath) throws -> SecretBytes? {
        do {
            let descriptor = try open(path)
            return try descriptor.closeAfter { try readAll(descriptor, atMost: maxBytes) }
        } catch Errno.noSuchFileOrDirectory {
            return nil
        }
    }

    /// Opens a file for reading. Anything but a regular file is refused, since reading it could block forever. Open
    /// descriptors that are given by a path, such as a shell's `<(…)`, are accepted.
    static func open(_ path: FilePath) throws -> FileDescriptor {
        if path == "/dev/stdin" || ["/dev/fd", "/proc/self/fd"].contains(path.removingLastComponent()) {
            return try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
        }
        // Without this option, opening a pipe would block.
        let descriptor = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec, .nonBlocking])
        do {
            try checkIsFile(descriptor.stat().type)
        } catch {
            try? descriptor.close()
            throw error
        }
        return descriptor
    }

    /// The rest of a descriptor's bytes, up to a limit. No copy stays in memory.
    static func readAll(_ descriptor: FileDescriptor, atMost limit: Int) throws -> SecretBytes {
        var buffer = [UInt8](repeating: 0, count: min(limit, 16 << 10))
        defer { wipe(&buffer) }
        var count = 0
        while true {
            // `read` uses the bytes only during the call.
            let read = try unsafe buffer.withUnsafeMutableBytes { bytes in
                try unsafe descriptor.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[count...]))
            }
            count += read
            if read == 0 || count == limit { break }
            guard count == buffer.count else { continue }
            var larger = [UInt8](repeating: 0, count: min(limit, count * 2))
            for index in 0..<count { larger[index] = buffer[index] }
            wipe(&buffer)
            swap(&buffer, &larger)
        }
        return SecretBytes(capacity: count) { output in
            for index in 0..<count { output.append(buffer[index]) }
        }
    }

    private static func wipe(_ buffer: inout [UInt8]) {
        // The call uses the array's bytes only until it returns.
        unsafe buffer.withUnsafeMutableBytes { bytes in
            if let start = bytes.baseAddress { unsafe explicit_bzero(start, bytes.count) }
        }
    }

    /// Writes a file that only its owner can read. It is written and synced beside its place, then renamed.
    ///
    /// Where the file system allows it, the file has no name until it is synced, so a crash leaves nothing. Elsewhere
    /// it has a temporary name, which the next write uses again.
    package static func write(_ content: SecretBytes, to path: FilePath) throws {
        if let type = try? path.stat(followTargetSymlink: false).type { try checkIsFile(type) }
        let name = path.lastComponent?.string ?? ""
        let temporary = path.removingLastComponent().appending(".\(name).aegis-new")
        // A file with this name was left by a crash, and no process uses it.
        _ = unsafe temporary.withPlatformString { unsafe unlink($0) }
        let (descriptor, isNamed) = try create(temporary)
        do {
            try descriptor.closeAfter {
                try write(content, to: descriptor)
                try check(fsync(descriptor.rawValue))
                if !isNamed { try link(descriptor, to: temporary) }
            }
            let isRenamed = unsafe temporary.withPlatformString { from in
                unsafe path.withPlatformString { unsafe rename(from, $0) }
            }
            try check(isRenamed)
        } catch {
            _ = unsafe temporary.withPlatformString { unsafe unlink($0) }
            throw error
        }
        let folder = try FileDescriptor.open(directory(of: path), .readOnly, options: .closeOnExec)
        try folder.closeAfter { try check(fsync(folder.rawValue)) }
    }

    /// Makes a file that only its owner can read. It has no name if the file system supports that (O_TMPFILE in
    /// open(2)) and /proc can give it one later.
    private static func create(_ path: FilePath) throws -> (FileDescriptor, isNamed: Bool) {
        let withoutName = FileDescriptor.OpenOptions(rawValue: __O_TMPFILE)
        do {
            // `access(2)` only reads the path, which outlives the call.
            guard unsafe access("/proc/self/fd", F_OK) == 0 else { throw Errno.notSupported }
            let file = try FileDescriptor.open(
                directory(of: path), .writeOnly, options: [withoutName, .closeOnExec], permissions: .ownerReadWrite)
            return (file, false)
        } catch Errno.notSupported, Errno.isDirectory {
            let file = try FileDescriptor.open(
                path, .writeOnly, options: [.create, .exclusiveCreate, .closeOnExec, .noFollow],
                permissions: .ownerReadWrite)
            return (file, true)
        }
    }

    /// Gives a name to an open file that has none.
    private static func link(_ descriptor: FileDescriptor, to path: FilePath) throws {
        let isLinked = unsafe path.withPlatformString {
            unsafe linkat(AT_FDCWD, "/proc/self/fd/\(descriptor.rawValue)", AT_FDCWD, $0, AT_SYMLINK_FOLLOW)
        }
        try check(isLinked)
    }

    private static func directory(of path: FilePath) -> FilePath {
        let directory = path.removingLastComponent()
        return directory.isEmpty ? "." : directory
    }

    /// Writes to an open file. No copy stays in memory.
    package static func write(_ content: SecretBytes, to descriptor: FileDescriptor) throws {
        try content.withBytes { bytes in
            // A Span's bytes stay in place during the closure.
            _ = try unsafe bytes.withUnsafeBytes { try unsafe descriptor.writeAll($0) }
        }
    }

    private static func checkIsFile(_ type: FileType) throws {
        switch type {
        case .regular: break
        case .directory: throw Errno.isDirectory
        default: throw NoRegularFile()
        }
    }

    private static func check(_ result: CInt) throws {
        if result != 0 { throw Errno(rawValue: errno) }
    }
}

/// The path leads to a pipe, a device or a socket, or, for a write, to a link.
private struct NoRegularFile: Error, CustomStringConvertible {
    let description = "it is no regular file"
}
