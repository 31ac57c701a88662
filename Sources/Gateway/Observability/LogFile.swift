import Glibc

/// The destination of an access log: a file, a pipe or the standard output.
struct LogFile: Sendable {
    let descriptor: Int32
    /// Whether the destination is a regular file. Other destinations can be full for a while, and poll(2) reports when
    /// they have room.
    private let isRegular: Bool
    private let device: UInt64
    private let number: UInt64

    /// How many bytes a pipe is sure to take without blocking when poll(2) reports room (PIPE_BUF, pipe(7)).
    private static let pipeBytes = 4096

    static var standardOutput: LogFile { LogFile(STDOUT_FILENO) }

    /// Opens a file for appending and creates it if missing, with mode 0640 less the umask.
    static func open(path: String) throws(SystemFailure) -> LogFile {
        var status = stat()
        // The path is lent to the calls only. `status` is read only if `stat` has filled it.
        let isPipe = unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
        // A named pipe is opened for reading too (fifo(7)): opening then needs no reader, and writing goes on when the
        // reader is gone.
        let descriptor = unsafe Glibc.open(
            path, (isPipe ? O_RDWR : O_WRONLY) | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0o640)
        guard descriptor >= 0 else { throw SystemFailure("open") }
        return LogFile(descriptor)
    }

    private init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var status = stat()
        // The call fills `status`, which stays zero when the call fails.
        let isKnown = unsafe fstat(descriptor, &status) == 0
        isRegular = isKnown && status.st_mode & S_IFMT == S_IFREG
        (device, number) = (UInt64(status.st_dev), UInt64(status.st_ino))
    }

    /// Whether both destinations are the same file, perhaps opened twice.
    func isSame(as other: LogFile) -> Bool { device == other.device && number == other.number }

    /// Whether the file has been deleted, so that nobody can read what is written to it.
    var isDeleted: Bool {
        var status = stat()
        // `status` is read only when the call has filled it.
        return unsafe isRegular && fstat(descriptor, &status) == 0 && status.st_nlink == 0
    }

    /// Whether the last line of the file lacks its line end. A process may have been killed while writing, or the disk
    /// was full.
    func endsWithinLine(path: String) -> Bool {
        guard isRegular else { return false }
        // The path is lent to the call only.
        let reader = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard reader >= 0 else { return false }
        defer { _ = Glibc.close(reader) }
        var last = UInt8(ascii: "\n")
        let end = lseek(reader, 0, SEEK_END)
        // `pread` writes at most one byte, into `last`.
        return unsafe end > 0 && pread(reader, &last, 1, end - 1) == 1 && last != UInt8(ascii: "\n")
    }

    /// Writes as many lines as there is room for. Never waits for a pipe or a terminal.
    func write(_ lines: inout PendingLines) -> PendingLines.Outcome? {
        lines.write(atMost: isRegular ? .max : Self.pipeBytes) { piece in
            if !isRegular, !hasRoom(milliseconds: 0) { return .wouldBlock }
            // The pointer and the count are those of the slice, which outlives the call.
            let count = unsafe piece.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 { return count == 0 ? .failed(ENOSPC) : .written(count) }
            let code = errno
            return code == EINTR ? .written(0) : code == EAGAIN ? .wouldBlock : .failed(code)
        }
    }

    /// Waits at most this long for room to write. Returns whether there is room.
    func hasRoom(milliseconds: Int32) -> Bool {
        var file = [pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)]
        return Poll.wait(for: &file, milliseconds: milliseconds) != 0
    }

    /// Closes the file. The standard output stays open, since it belongs to the whole process.
    func close() {
        if descriptor != STDOUT_FILENO { _ = Glibc.close(descriptor) }
    }
}
