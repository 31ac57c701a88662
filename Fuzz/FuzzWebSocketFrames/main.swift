import Foundation
import FuzzDriver
import HTTP1

// Reads any bytes as the frames of a WebSocket. However they are split, boundaries must be where the simplest possible
// reader finds them.

func take(_ bytes: [UInt8]) {
    let ends = plainEnds(bytes)
    for step in [1, 2 + bytes.count % 30, max(bytes.count, 1)] {
        var frames = WebSocketFrames()
        var start = 0
        precondition(frames.isAtBoundary)
        while start < bytes.count {
            let stop = min(start + step, bytes.count)
            frames.follow(bytes[start..<stop].span)
            precondition(frames.isAtBoundary == ends.contains(stop), "\(step) bytes at a time give another boundary")
            start = stop
        }
    }
}

/// The offsets at which frames end (RFC 6455 section 5.2).
func plainEnds(_ bytes: [UInt8]) -> Set<Int> {
    var ends: Set<Int> = []
    var at = 0
    while at + 2 <= bytes.count {
        let length = Int(bytes[at + 1] & 0x7F)
        let mask = bytes[at + 1] & 0x80 == 0 ? 0 : 4
        let lengthBytes = length == 126 ? 2 : length == 127 ? 8 : 0
        let header = at + 2 + lengthBytes
        guard header + mask <= bytes.count else { break }
        var payload = UInt64(length)
        if lengthBytes > 0 { payload = bytes[at + 2..<header].reduce(0) { $0 << 8 | UInt64($1) } }
        guard payload <= UInt64(bytes.count - header - mask) else { break }
        at = header + mask + Int(payload)
        ends.insert(at)
    }
    return ends
}

exit(fuzz(take))
