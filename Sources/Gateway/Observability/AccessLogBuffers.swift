import ConfigModel

/// A worker's buffers of the access log: the buffer of the present settings, and those of former settings whose
/// requests have not ended. So each line is written to the file, and in the format, for which it was started.
struct AccessLogBuffers {
    /// The buffer in which lines are started; nil if there is no access log.
    private(set) var current: AccessLogBuffer?
    private var former: [AccessLogBuffer] = []
    private var lastNumber: UInt32 = 0

    /// Finds the buffer in which a line was started, by its number. Nil if that buffer has no open lines any more.
    subscript(number: UInt32) -> AccessLogBuffer? {
        if let current, current.number == number { return current }
        return former.first { $0.number == number }
    }

    /// Starts further lines in a new buffer, unless the settings are the same.
    mutating func change(to hold: AccessLogHold?, _ format: AccessLog.Format) {
        if let current {
            guard current.hold !== hold || current.format != format else { return }
            current.flush()
            if current.openLines > 0 { former.append(current) }
        }
        lastNumber &+= 1
        current = hold.map { AccessLogBuffer($0, format, number: lastNumber) }
    }

    /// Called after a line of the buffer with this number was completed. A former buffer is flushed at once, and
    /// dropped after its last open line.
    mutating func release(_ number: UInt32) {
        guard !former.isEmpty else { return }
        for buffer in former where buffer.number == number { buffer.flush() }
        former.removeAll { $0.openLines == 0 }
    }

    func flush() {
        current?.flush()
        for buffer in former { buffer.flush() }
    }
}
