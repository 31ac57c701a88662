import Foundation
import FuzzDriver
import HTTP1

// Any bytes as a chunked body: data, end and fault are the same however the bytes are cut; what was decoded decodes again
// when it is written as one chunk.

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
    guard whole.end != nil else { return }
    let size = String(whole.data.count, radix: 16)
    let chunk = whole.data.isEmpty ? [] : Array("\(size)\r\n".utf8) + whole.data + Array("\r\n".utf8)
    let again = decode(chunk + Array("0\r\n\r\n".utf8), step: 7)
    precondition(again.data == whole.data && again.end == chunk.count + 5)
}

exit(fuzz(take))
