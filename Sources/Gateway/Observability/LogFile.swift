import Glibc

/// The destination of the access log: a file, a pipe or a terminal.
struct LogFile: Sendable {
    let descriptor: Int32
    /// Whether the destination is a regular file. A pipe or a terminal can be full for a while; poll(2) reports when it
    /// has room.
    private let isRegular: Bool
    private let device: UInt64
    private let number: UInt64

    /// When poll(2) reports room in a pipe, a write of this many bytes does not block (PIPE_BUF, pipe(7)).
    private static let pipeBytes = 4096

    static var standardOutput: LogFile { LogFile(STDOUT_FILENO) }

    /// Opens a file for appending. A missing file is created with mode 0640, reduced by the umask.
    static func open(path: String) throws(SystemFailure) -> LogFile {
        var status = stat()
        // This is safe, since the path is lent only for the call. `status` is read only after `stat` has filled it.
        let isPipe = unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
        // A named pipe is opened for reading too (fifo(7)). Otherwise opening would wait for a reader, and writing
        // would fail without a reader.
        let descriptor = unsafe Glibc.open(
            path, (isPipe ? O_RDWR : O_WRONLY) | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0o640)
        guard descriptor >= 0 else { throw SystemFailure("open") }
        return LogFile(descriptor)
    }

    private init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var status = stat()
        // This is safe, since `fstat` only fills `status`. `status` stays zero if the call fails.
        let isKnown = unsafe fstat(descriptor, &status) == 0
        isRegular = isKnown && status.st_mode & S_IFMT == S_IFREG
        (device, number) = (UInt64(status.st_dev), UInt64(status.st_ino))
    }

    /// Whether both are the same file. Their descriptors may differ, since a file can be opened twice.
    func isSame(as other: LogFile) -> Bool { device == other.device && number == other.number }

    /// Whether the file was deleted. If so, nobody can read the lines that are written to it.
    var isDeleted: Bool {
        var status = stat()
        // This is safe, since `status` is read only after `fstat` has filled it.
        return unsafe isRegular && fstat(descriptor, &status) == 0 && status.st_nlink == 0
    }

    /// Whether the file's last line is incomplete, because a process was killed while it wrote the line, or because the
    /// disk was full.
    func endsWithinLine(path: String) -> Bool {
        guard isRegular else { return false }
        // This is safe, since the path is lent only for the call.
        let reader = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard reader >= 0 else { return false }
        defer { _ = Glibc.close(reader) }
        var last = UInt8(ascii: "\n")
        let end = lseek(reader, 0, SEEK_END)
        // This is safe, since `pread` writes at most one byte, into `last`.
        return unsafe end > 0 && pread(reader, &last, 1, end - 1) == 1 && last != UInt8(ascii: "\n")
    }

    /// Writes as many lines as the destination has room for. A full pipe or terminal never blocks the call. Nothing is
    /// written to a file that was deleted.
    func write(_ lines: inout PendingLines) -> PendingLines.Outcome? {
        if isDeleted { return lines.bytes > 0 ? .failed(ENOENT) : nil }
        return lines.write(atMost: isRegular ? .max : Self.pipeBytes) { piece in
            if !isRegular, !hasRoom(milliseconds: 0) { return .wouldBlock }
            // This is safe, since the pointer and the count are those of the slice, which outlives the call.
            let count = unsafe piece.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 { return count == 0 ? .failed(ENOSPC) : .written(count) }
            let code = errno
            return code == EINTR ? .written(0) : code == EAGAIN ? .wouldBlock : .failed(code)
        }
    }

    /// Waits for room in the destination, but only for the given time. Returns whether there is room.
    func hasRoom(milliseconds: Int32) -> Bool {
        var file = [pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)]
        return Poll.wait(for: &file, milliseconds: milliseconds) != 0
    }

    /// The standard output is not closed, since the whole process uses it.
    func close() {
        if descriptor != STDOUT_FILENO { _ = Glibc.close(descriptor) }
    }
}
