import Glibc
import PKI
import SystemPackage

/// Reads and writes files that only the owner may read. After a crash, a file has either its old or its new content.
package enum PrivateFile {
    /// The largest file that is read, 1 MiB. Keys and chains are much smaller.
    package static let maxBytes = 1 << 20

    /// Reads at most the first `maxBytes` of a file. Returns nil if the file does not exist.
    package static func read(_ path: FilePath) throws -> SecretBytes? {
        do {
            return try content(of: path, atMost: maxBytes)
        } catch Errno.noSuchFileOrDirectory {
            return nil
        }
    }

    /// Reads at most the first `limit` bytes of a file.
    package static func content(of path: FilePath, atMost limit: Int) throws -> SecretBytes {
        let descriptor = try open(path)
        return try descriptor.closeAfter { try readAll(descriptor, atMost: limit) }
    }

    /// Opens a file for reading. Throws unless it is a regular file, since reading another kind could block forever.
    /// Paths of open descriptors are accepted, such as `/dev/fd/63` from a shell's `<(…)`.
    package static func open(_ path: FilePath) throws -> FileDescriptor {
        if path == "/dev/stdin" || ["/dev/fd", "/proc/self/fd"].contains(path.removingLastComponent()) {
            return try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
        }
        return try openRegular(path)
    }

    /// Opens a regular file for reading. Throws for anything else, paths of open descriptors included.
    package static func openRegular(_ path: FilePath) throws -> FileDescriptor {
        // Without `nonBlocking`, opening a named pipe would block.
        let descriptor = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec, .nonBlocking])
        do {
            try checkIsFile(descriptor.stat().type)
        } catch {
            try? descriptor.close()
            throw error
        }
        return descriptor
    }

    /// Reads the rest of a file, but at most `limit` bytes. All intermediate buffers are wiped.
    package static func readAll(_ descriptor: FileDescriptor, atMost limit: Int) throws -> SecretBytes {
        var buffer = [UInt8](repeating: 0, count: min(limit, 16 << 10))
        defer { wipe(&buffer) }
        var count = 0
        while true {
            // This is safe, since read(2) writes only into the buffer, and only until the closure returns.
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
        // This is safe, since the pointer is used only within this closure, where the array's memory is valid.
        unsafe buffer.withUnsafeMutableBytes { bytes in
            if let start = bytes.baseAddress { unsafe explicit_bzero(start, bytes.count) }
        }
    }

    /// Writes a file that only the owner may read. The content goes to a new file in the same directory, which is
    /// synced and then renamed to `path`.
    ///
    /// If the file system supports it, the new file has no name until it is synced, so a crash before that leaves no
    /// file behind. Otherwise the new file has a temporary name. The next write deletes a leftover file with that name.
    package static func write(_ content: SecretBytes, to path: FilePath) throws {
        if let type = try? path.stat(followTargetSymlink: false).type { try checkIsFile(type) }
        let name = path.lastComponent?.string ?? ""
        let temporary = path.removingLastComponent().appending(".\(name).aegis-new")
        // A crash may have left this file. No process uses it, so it is deleted.
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

    /// Makes a new file that only the owner may read. The file has no name if the file system supports that (O_TMPFILE
    /// in open(2)) and /proc exists, which `link` needs.
    private static func create(_ path: FilePath) throws -> (FileDescriptor, isNamed: Bool) {
        let withoutName = FileDescriptor.OpenOptions(rawValue: __O_TMPFILE)
        do {
            // This is safe, since access(2) only reads the path, which Swift keeps alive during the call.
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

    /// Gives a name to an open file without a name.
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

    /// Writes a secret to an open file without making an unwiped copy.
    package static func write(_ content: SecretBytes, to descriptor: FileDescriptor) throws {
        try content.withBytes { bytes in
            // This is safe, since the span's memory stays valid until the closure returns, and writeAll(_:) only reads
            // it.
            _ = try unsafe bytes.withUnsafeBytes { try unsafe descriptor.writeAll($0) }
        }
    }

    /// The advice for the operator when users other than the file's owner can read or write the file; nil when they
    /// can't.
    package static func exposure(_ mode: FilePermissions, _ path: String) -> String? {
        guard !mode.isDisjoint(with: .groupReadWriteExecute.union(.otherReadWriteExecute)) else { return nil }
        return "others can read or write it, and keys are in it; run: chmod 600 '\(path)'"
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

/// The path leads to a pipe, a device or a socket. For a write, a symbolic link is an error too.
private struct NoRegularFile: Error, CustomStringConvertible {
    let description = "it is no regular file"
}
