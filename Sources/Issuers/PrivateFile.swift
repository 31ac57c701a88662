import Glibc
import PKI
import SystemPackage

/// Files that only their owner may read, from the first instant, and that are either old or new, never half.
package enum PrivateFile {
    /// The largest file that is read: 1 MiB, far more than any key or chain has.
    package static let maxBytes = 1 << 20

    /// A file's content of at most `maxBytes`, the rest is left; nil when there is no such file.
    static func read(_ path: FilePath) throws -> SecretBytes? {
        do {
            let descriptor = try open(path)
            return try descriptor.closeAfter { try readAll(descriptor, atMost: maxBytes) }
        } catch Errno.noSuchFileOrDirectory {
            return nil
        }
    }

    /// Opens a file for reading. What is no regular file is refused, since it could be waited for without an end; but for
    /// descriptors of our own that go by a file's name, such as a shell's `<(…)`.
    static func open(_ path: FilePath) throws -> FileDescriptor {
        if path == "/dev/stdin" || ["/dev/fd", "/proc/self/fd"].contains(path.removingLastComponent()) {
            return try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
        }
        // A pipe would be waited for here already.
        let descriptor = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec, .nonBlocking])
        do {
            try checkIsFile(descriptor.stat().type)
        } catch {
            try? descriptor.close()
            throw error
        }
        return descriptor
    }

    /// What a descriptor still has, up to a limit, without leaving a copy behind.
    static func readAll(_ descriptor: FileDescriptor, atMost limit: Int) throws -> SecretBytes {
        var buffer = [UInt8](repeating: 0, count: min(limit, 16 << 10))
        defer { wipe(&buffer) }
        var count = 0
        while true {
            // The bytes are lent to the call alone.
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
        // The array's own bytes, lent to the call.
        unsafe buffer.withUnsafeMutableBytes { bytes in
            if let start = bytes.baseAddress { unsafe explicit_bzero(start, bytes.count) }
        }
    }

    /// Writes a file for the owner alone: beside its place, synced, then renamed.
    ///
    /// Until it is synced it has no name, where the file system has such files: killed then, it is gone. Otherwise it has a
    /// name that a later write reuses.
    package static func write(_ content: SecretBytes, to path: FilePath) throws {
        if let type = try? path.stat(followTargetSymlink: false).type { try checkIsFile(type) }
        let name = path.lastComponent?.string ?? ""
        let temporary = path.removingLastComponent().appending(".\(name).aegis-new")
        // What a crash has left under this name is nobody's.
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

    /// A new file for the owner alone, without a name where there is such a thing (O_TMPFILE in open(2)) and /proc to give it
    /// one.
    private static func create(_ path: FilePath) throws -> (FileDescriptor, isNamed: Bool) {
        let withoutName = FileDescriptor.OpenOptions(rawValue: __O_TMPFILE)
        do {
            // access reads the path alone, which lives as long as the call.
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

    /// Gives an open file a name.
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

    /// Writes to an open file without leaving a copy behind.
    package static func write(_ content: SecretBytes, to descriptor: FileDescriptor) throws {
        try content.withBytes { bytes in
            // A Span's bytes stay where they are for the length of the closure.
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

/// What stands in the place of a file is a pipe, a device, a socket or, where one is to be written, a link.
private struct NoRegularFile: Error, CustomStringConvertible {
    let description = "it is no regular file"
}
