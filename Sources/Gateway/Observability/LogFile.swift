import Glibc

/// What an access log is written to: a file, a pipe, the standard output.
struct LogFile: Sendable {
    let descriptor: Int32
    /// Whether it is a file of a disk: others may be full, and say when they are no longer.
    private let isRegular: Bool
    private let device: UInt64
    private let number: UInt64

    /// The most bytes that a pipe takes at once when it says that there is room (pipe(7)).
    private static let pipeBytes = 4096

    /// The standard output.
    static var standardOutput: LogFile { LogFile(STDOUT_FILENO) }

    /// Opens a file to append to, and makes it where it is missing; whom it is for is a matter of the umask, too.
    static func open(path: String) throws(SystemFailure) -> LogFile {
        var status = stat()
        let isPipe = unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
        // For reading too: so a pipe (fifo(7)) can be opened before anybody reads it, and outlives its reader.
        let descriptor = unsafe Glibc.open(
            path, (isPipe ? O_RDWR : O_WRONLY) | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0o640)
        guard descriptor >= 0 else { throw SystemFailure("open") }
        return LogFile(descriptor)
    }

    private init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var status = stat()
        let isKnown = unsafe fstat(descriptor, &status) == 0
        isRegular = isKnown && status.st_mode & S_IFMT == S_IFREG
        (device, number) = (UInt64(status.st_dev), UInt64(status.st_ino))
    }

    /// Whether it is the same file, opened twice.
    func isSame(as other: LogFile) -> Bool { device == other.device && number == other.number }

    /// Whether a file is no longer in any directory: nobody will read what is written to it.
    var isDeleted: Bool {
        var status = stat()
        return unsafe isRegular && fstat(descriptor, &status) == 0 && status.st_nlink == 0
    }

    /// Whether the last line of a file has no end: a process that wrote there was killed, or its disk was full.
    func endsWithinLine(path: String) -> Bool {
        guard isRegular else { return false }
        let reader = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard reader >= 0 else { return false }
        defer { _ = Glibc.close(reader) }
        var last = UInt8(ascii: "\n")
        let end = lseek(reader, 0, SEEK_END)
        return unsafe end > 0 && pread(reader, &last, 1, end - 1) == 1 && last != UInt8(ascii: "\n")
    }

    /// Writes what lines there is room for. Never waits where others say when there is room.
    func write(_ lines: inout PendingLines) -> PendingLines.Outcome? {
        lines.write(atMost: isRegular ? .max : Self.pipeBytes) { piece in
            if !isRegular, !hasRoom(milliseconds: 0) { return .wouldBlock }
            // Within the slice.
            let count = unsafe piece.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 { return count == 0 ? .failed(ENOSPC) : .written(count) }
            let code = errno
            return code == EINTR ? .written(0) : code == EAGAIN ? .wouldBlock : .failed(code)
        }
    }

    /// Waits until there is room, or the time is over.
    func hasRoom(milliseconds: Int32) -> Bool {
        var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return unsafe Glibc.poll(&poll, 1, milliseconds) != 0
    }

    /// Closes it, unless it is the standard output, which is not ours.
    func close() {
        if descriptor != STDOUT_FILENO { _ = Glibc.close(descriptor) }
    }
}
