import Foundation
import FuzzDriver
import HTTP1

// Decodes any bytes as a chunked body. Data, end and fault must not depend on how the bytes are split. An accepted body
// must equal the result of the simplest possible reader.

struct Decoded: Equatable {
    var data: [UInt8] = []
    var trailers: [UInt8] = []
    var end: Int?
    var fault: BodyFault?
}

func decode(_ bytes: [UInt8], of kind: MessageKind, step: Int) -> Decoded {
    var decoder = BodyDecoder(.chunked, of: kind, limits: BodyLimits(maxChunkLineBytes: 40, maxTrailerBytes: 100))
    var decoded = Decoded()
    var start = 0
    var expected: UInt64 = 0
    while start < bytes.count {
        let piece = Array(bytes[start..<min(start + step, bytes.count)])
        var at = 0
        piece: while true {
            switch decoder.next(in: piece.span, from: at) {
            case .data(let first, let count):
                precondition(first >= at && count > 0)
                precondition(
                    expected == 0 || expected == decoder.announced + UInt64(count), "another size was announced")
                expected = decoder.announced
                decoded.data += piece[first..<first + count]
                at = first + count
            case .trailers(let first, let count):
                precondition(first >= at && count > 0)
                decoded.trailers += piece[first..<first + count]
                at = first + count
            case .needMore:
                expected = decoder.announced
                break piece
            case .end(let offset):
                precondition(decoder.isComplete)
                decoded.end = start + offset
                return decoded
            case .malformed(let fault):
                // How much of the trailers was read before depends on the pieces.
                decoded.trailers = []
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
    for kind in [MessageKind.request, .response] {
        let whole = decode(bytes, of: kind, step: max(bytes.count, 1))
        for step in [1, 2 + bytes.count % 30] {
            precondition(decode(bytes, of: kind, step: step) == whole, "\(step) bytes at a time give another body")
        }
        guard whole.end != nil else { continue }
        precondition(decodePlainly(bytes, of: kind) == whole)
        // A body that is accepted from clients must be read in the same way from servers.
        precondition(decode(bytes, of: .response, step: max(bytes.count, 1)) == whole)
    }
}

/// Decodes a body that has no fault.
func decodePlainly(_ bytes: [UInt8], of kind: MessageKind) -> Decoded {
    var rest = bytes[...]
    func line() -> ArraySlice<UInt8> {
        let line = rest.prefix { $0 != 0x0A }
        precondition(line.last == 0x0D)
        rest = rest[(line.endIndex + 1)...]
        return line.dropLast()
    }
    var decoded = Decoded()
    func size() -> Int {
        let line = line()
        var digits = line.prefix { $0 != 0x3B }
        while digits.last == 0x20 || digits.last == 0x09 {
            precondition(kind == .response || digits.endIndex < line.endIndex)
            digits.removeLast()
        }
        guard let size = Int(String(decoding: digits, as: UTF8.self), radix: 16) else { preconditionFailure("no size") }
        return size
    }
    while case let size = size(), size > 0 {
        decoded.data += rest[rest.startIndex..<rest.startIndex + size]
        rest = rest[(rest.startIndex + size)...]
        precondition(line().isEmpty)
    }
    let start = rest.startIndex
    var hasTrailers = false
    while !line().isEmpty { hasTrailers = true }
    decoded.end = rest.startIndex
    if hasTrailers { decoded.trailers = Array(bytes[start..<rest.startIndex]) }
    return decoded
}

exit(fuzz(take))
