import Glibc
import Testing

@testable import Gateway

/// Writes lines to a file on a disk that is full from time to time.
@Suite("Access log") struct AccessLogTests {
    /// A file that accepts `room` bytes before writing fails.
    private struct Disk {
        var room = 0
        var failure = PendingLines.Outcome.failed(ENOSPC)
        var written: [UInt8] = []
        var longest = 0

        mutating func write(_ bytes: ArraySlice<UInt8>) -> PendingLines.Outcome {
            guard room > 0 else { return failure }
            let count = min(room, bytes.count)
            written += bytes.prefix(count)
            room -= count
            longest = max(longest, count)
            return .written(count)
        }

        var text: String { String(decoding: written, as: UTF8.self) }
    }

    private static let chunks = (0..<4).map { chunk in (0..<5).map { "line \(chunk) \($0) of a chunk\n" }.joined() }
    private static var all: String { chunks.joined() }

    private static func pending() -> PendingLines {
        var lines = PendingLines()
        for chunk in chunks { lines.append(Array(chunk.utf8)) }
        return lines
    }

    @Test("However little space is free at a time, every line is written once and whole")
    func roomByRoom() {
        for step in 1...60 {
            var (lines, disk) = (Self.pending(), Disk())
            disk.failure = [.failed(ENOSPC), .failed(EIO), .wouldBlock][step % 3]
            while !lines.isEmpty {
                #expect(lines.write { disk.write($0) } == disk.failure)
                disk.room = step
                let outcome = lines.write { disk.write($0) }
                #expect(outcome == (lines.isEmpty ? nil : disk.failure))
                #expect(lines.bytes == Self.all.utf8.count - disk.written.count)
            }
            #expect(disk.text == Self.all)
        }
    }

    @Test("At whatever byte a file is full, the next file continues with whole lines")
    func restart() {
        for room in 0..<Self.all.utf8.count {
            var (lines, full, other) = (Self.pending(), Disk(), Disk())
            full.room = room
            _ = lines.write { full.write($0) }
            lines.restartLine()
            let whole = full.text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            #expect(lines.lines == 20 - whole.count)
            #expect(lines.bytes == Self.all.utf8.count - whole.reduce(0) { $0 + $1.utf8.count + 1 })
            other.room = .max
            #expect(lines.write { other.write($0) } == nil)
            #expect(whole.map { $0 + "\n" }.joined() + other.text == Self.all)
        }
    }

    @Test("A partial write ends with a whole line if possible")
    func pieces() {
        for limit in [1, 10, 20, 37, 38, 39, 100] {
            var (lines, ends, longest) = (Self.pending(), [Int](), 0)
            var written = 0
            _ = lines.write(atMost: limit) { piece in
                written += piece.count
                longest = max(longest, piece.count)
                ends.append(written)
                return .written(piece.count)
            }
            #expect(longest <= limit)
            let bytes = Array(Self.all.utf8)
            if limit >= 20 { #expect(ends.allSatisfy { bytes[$0 - 1] == UInt8(ascii: "\n") }) }
        }
    }

    @Test("An unfinished line of another process is ended before the next line")
    func lineEnd() {
        var (lines, disk) = (PendingLines(), Disk())
        lines.owesLineEnd = true
        disk.room = .max
        #expect(lines.write { disk.write($0) } == nil)
        #expect(disk.written.isEmpty)
        lines.append(Array("a\n".utf8))
        #expect(lines.write { disk.write($0) } == nil)
        lines.append(Array("b\n".utf8))
        #expect(lines.write { disk.write($0) } == nil)
        #expect(disk.text == "\na\nb\n")
    }

    @Test("Lost data is counted in lines")
    func givingUp() {
        var (lines, disk) = (Self.pending(), Disk())
        disk.room = 50
        _ = lines.write { disk.write($0) }
        let left = 20 - disk.written.count { $0 == UInt8(ascii: "\n") }
        #expect(lines.giveUp() == left)
        #expect(lines.isEmpty && lines.bytes == 0)
    }

    @Test("A failure is logged at once, then each minute while it lasts, and when it ends")
    func trouble() {
        var trouble = AccessLogTrouble()
        let full = "No space left on device"
        #expect(trouble.look(failure: nil, lost: 0, at: 1) == nil)
        #expect(
            trouble.look(failure: full, lost: 0, at: 2)
                == .lasts("the access log can't be written: \(full); the next 16 MiB of lines are kept"))
        #expect(trouble.reason == "can't be written: \(full)")
        for second in Int64(3)..<62 { #expect(trouble.look(failure: full, lost: 5, at: second) == nil) }
        #expect(
            trouble.look(failure: full, lost: 7, at: 62)
                == .lasts("the access log can't be written: \(full); 7 lines were lost"))
        #expect(
            trouble.look(failure: "Input/output error", lost: 7, at: 63)
                == .lasts("the access log can't be written: Input/output error; 7 lines were lost"))
        #expect(
            trouble.look(failure: nil, lost: 8, at: 64) == .over("the access log is written again; 8 lines were lost"))
        #expect(trouble.reason == nil)
        #expect(trouble.look(failure: nil, lost: 8, at: 65) == nil)
    }

    @Test("Lost lines without a failure are logged until none is lost for a while")
    func slowness() {
        var trouble = AccessLogTrouble()
        #expect(
            trouble.look(failure: nil, lost: 3, at: 100)
                == .lasts("the access log is not written as fast as lines come; 3 lines were lost"))
        #expect(trouble.look(failure: nil, lost: 9, at: 101) == nil)
        #expect(trouble.look(failure: nil, lost: 9, at: 110) == nil)
        #expect(
            trouble.look(failure: nil, lost: 9, at: 111) == .over("the access log is written again; 9 lines were lost"))
        #expect(
            trouble.look(failure: nil, lost: 10, at: 200)
                == .lasts("the access log is not written as fast as lines come; 1 line was lost"))
    }
}
