import Foundation
import FuzzDriver
import HTTP1

// Any bytes as a chunked body: data, end and fault are the same however the bytes are cut, and a body that is accepted is
// what a reader as simple as can be takes from it.

struct Decoded: Equatable {
    var data: [UInt8] = []
    var end: Int?
    var fault: BodyFault?
}

func decode(_ bytes: [UInt8], step: Int) -> Decoded {
    var decoder = BodyDecoder(.chunked, limits: BodyLimits(maxChunkLineBytes: 40, maxTrailerBytes: 100))
    var decoded = Decoded()
    var start = 0
    while start < bytes.count {
        let piece = Array(bytes[start..<min(start + step, bytes.count)])
        var at = 0
        piece: while true {
            switch decoder.next(in: piece.span, from: at) {
            case .data(let first, let count):
                precondition(first >= at && count > 0)
                decoded.data += piece[first..<first + count]
                at = first + count
            case .needMore: break piece
            case .end(let offset):
                precondition(decoder.isComplete)
                decoded.end = start + offset
                return decoded
            case .malformed(let fault):
                decoded.fault = fault
                return decoded
            }
        }
        precondition(!decoder.isComplete)
        start += piece.count
    }
    return decoded
}

func take(_ bytes: [UInt8]) {
    let whole = decode(bytes, step: max(bytes.count, 1))
    for step in [1, 2 + bytes.count % 30] {
        precondition(decode(bytes, step: step) == whole, "\(step) bytes at a time give another body")
    }
    if whole.end != nil { precondition(decodePlainly(bytes) == whole) }
}

/// Decodes a body that has no fault.
func decodePlainly(_ bytes: [UInt8]) -> Decoded {
    var rest = bytes[...]
    func line() -> ArraySlice<UInt8> {
        let line = rest.prefix { $0 != 0x0A }
        precondition(line.last == 0x0D)
        rest = rest[(line.endIndex + 1)...]
        return line.dropLast()
    }
    var decoded = Decoded()
    while let size = Int(String(decoding: line().prefix { $0 != 0x3B }, as: UTF8.self), radix: 16), size > 0 {
        decoded.data += rest[rest.startIndex..<rest.startIndex + size]
        rest = rest[(rest.startIndex + size)...]
        precondition(line().isEmpty)
    }
    while !line().isEmpty {}
    decoded.end = rest.startIndex
    return decoded
}

exit(fuzz(take))
