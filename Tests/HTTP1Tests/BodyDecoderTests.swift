import HTTP1
import Testing

@Suite struct BodyDecoderTests {
    @Test("A body of known length ends with its last byte, and later bytes are not touched")
    func length() {
        for step in [1, 2, 3, .max] {
            let read = readBody("helloGET".latin1, .length(5), step: step)
            #expect(read == ReadBody(data: "hello".latin1, end: 5, isComplete: true))
        }
        #expect(readBody("GET".latin1, .none) == ReadBody(end: 0, isComplete: true))
        #expect(readBody([], .length(0)) == ReadBody(end: 0, isComplete: true))
        #expect(!readBody("hell".latin1, .length(5)).isComplete)
        #expect(!readBody("hell".latin1, .length(.max)).isComplete)
    }

    @Test("A body without a length may end at any byte")
    func untilClose() {
        #expect(readBody("hello".latin1, .untilClose, step: 2) == ReadBody(data: "hello".latin1, isComplete: true))
        #expect(BodyDecoder(.untilClose).isComplete)
    }

    @Test("A chunked body is the same however it is split, and later bytes are not touched")
    func chunked() {
        let text = "5;a=\"\tb\"\r\nhello\r\n006\r\n world\r\n1\r\n\0\r\n0;x\r\nA: b\r\nC:\r\n\r\nGET".latin1
        let whole = readBody(text, .chunked)
        #expect(
            whole
                == ReadBody(
                    data: "hello world\0".latin1, trailers: "A: b\r\nC:\r\n\r\n".latin1, end: text.count - 3,
                    isComplete: true))
        for step in 1..<20 { #expect(readBody(text, .chunked, step: step) == whole) }
        for count in 0..<text.count - 3 {
            let read = readBody(Array(text[..<count]), .chunked)
            #expect(!read.isComplete && read.fault == nil && read.end == nil)
        }
    }

    @Test("A chunk's data is returned in place, not copied")
    func zeroCopy() {
        var decoder = BodyDecoder(.chunked)
        let bytes = "xx3\r\nabc\r\n0\r\n\r\nyy".latin1
        #expect(decoder.next(in: bytes.span, from: 2) == .data(start: 5, count: 3))
        #expect(!decoder.isComplete)
        #expect(decoder.next(in: bytes.span, from: 8) == .end(15))
        #expect(decoder.isComplete)
        #expect(decoder.next(in: bytes.span, from: 15) == .end(15))
    }

    @Test("The number of announced bytes is known as soon as the chunk's line or the length is read")
    func announced() {
        var chunked = BodyDecoder(.chunked)
        func announced(after text: String) -> UInt64 {
            let bytes = text.latin1
            var at = 0
            while case .data(let start, let count) = chunked.next(in: bytes.span, from: at) { at = start + count }
            return chunked.announced
        }
        #expect(announced(after: "") == 0)
        #expect(announced(after: "1F") == 0)
        #expect(announced(after: ";a\r") == 0)
        #expect(announced(after: "\n") == 31)
        #expect(announced(after: "abc") == 28)
        #expect(announced(after: String(repeating: "a", count: 28)) == 0)
        #expect(announced(after: "\r\nFFFFFFFFFFFFFFFF\r\n") == .max)
        var length = BodyDecoder(.length(5))
        #expect(length.announced == 5)
        _ = length.next(in: "he".latin1.span, from: 0)
        #expect(length.announced == 3)
        #expect(BodyDecoder(.none).announced == 0 && BodyDecoder(.untilClose).announced == 0)
    }

    @Test("A body of length 0 is no body")
    func hasBody() {
        #expect(!BodyFraming.none.hasBody && !BodyFraming.length(0).hasBody)
        #expect(BodyFraming.length(1).hasBody && BodyFraming.chunked.hasBody && BodyFraming.untilClose.hasBody)
    }

    @Test(
        "Sizes are hexadecimal digits that fit 64 bits and nothing else",
        arguments: [
            "", " 1", "+1", "-1", "0x1", "1_0", "g", "1g", "10000000000000000", "0FFFFFFFFFFFFFFFFF", "1,", "/", ":",
            "@",
            "G", "`", "\u{B2}", "1 1", "1\t1", "1 g", "1 ,",
        ])
    func badSizes(_ size: String) {
        for step in [1, .max] {
            for kind in [MessageKind.request, .response] {
                let read = readBody("\(size)\r\na\r\n0\r\n\r\n".latin1, .chunked, of: kind, step: step)
                #expect(read.fault == .badChunkSize)
            }
        }
    }

    @Test(
        "Blanks are allowed between a size and an extension (RFC 9112 section 7.1.1)",
        arguments: ["1 ;a=b", "1\t;a", "1 \t ; a = \"b\"", "1 ;"])
    func extensions(_ line: String) {
        for kind in [MessageKind.request, .response] {
            for step in [1, 2, .max] {
                let read = readBody("\(line)\r\na\r\n0 ;\r\n\r\n".latin1, .chunked, of: kind, step: step)
                #expect(read.data == "a".latin1 && read.isComplete)
            }
        }
    }

    @Test("Blanks after a size, or before a trailer's colon, are accepted only from servers")
    func blanks() {
        let samples: [(String, BodyFault)] = [
            ("1 \r\na\r\n0\r\n\r\n", .badChunkSize), ("1\t  \r\na\r\n0\r\n\r\n", .badChunkSize),
            ("1\r\na\r\n0 \r\n\r\n", .badChunkSize), ("1\r\na\r\n0\r\nA : b\r\nC\t \t:\r\n\r\n", .badTrailer),
        ]
        for (text, fault) in samples {
            for step in [1, 2, .max] {
                #expect(readBody(text.latin1, .chunked, step: step).fault == fault)
                let read = readBody(text.latin1, .chunked, of: .response, step: step)
                #expect(read.data == "a".latin1 && read.end == text.utf8.count && read.isComplete)
            }
        }
        for text in ["1 \n", "1 \r ", "0\r\n : b\r\n", "0\r\nA b\r\n", "0\r\nA \r\n", "0\r\nA : b\r\n c\r\n", " 1\r\n"]
        {
            #expect(readBody(text.latin1, .chunked, of: .response).fault != nil)
        }
    }

    @Test("Only the line's limit bounds leading zeros of a size (RFC 9112 section 7.1)")
    func leadingZeros() {
        let zeros = String(repeating: "0", count: 255)
        for kind in [MessageKind.request, .response] {
            let read = readBody("\(zeros)1\r\na\r\n\(zeros)0\r\n\r\n".latin1, .chunked, of: kind)
            #expect(read.data == "a".latin1 && read.isComplete)
            #expect(readBody("\(zeros)01\r\na\r\n".latin1, .chunked, of: kind).fault == .chunkLineTooLong)
        }
    }

    @Test("The largest size of 64 bits is read")
    func largest() {
        let read = readBody("FfFfFfFfFfFfFfFf\r\nabc".latin1, .chunked)
        #expect(read == ReadBody(data: "abc".latin1))
    }

    @Test("Each line of a chunked body must end with CRLF")
    func lineEnds() {
        let text = "1;a\r\na\r\n0\r\nA: b\r\n\r\n".latin1
        for at in text.indices where text[at] == 13 || text[at] == 10 {
            var without = text
            without.remove(at: at)
            let read = readBody(without + "0\r\n\r\n".latin1, .chunked)
            #expect(read.fault != nil, "without the byte at \(at)")
            var twice = text
            twice.insert(text[at], at: at)
            #expect(at + 1 == text.count || readBody(twice, .chunked).fault != nil, "with the byte at \(at) twice")
        }
    }

    @Test("Trailers are returned whole, however they arrive", arguments: [1, 2, 7, 100])
    func trailers(_ step: Int) {
        let body = readBody(Array("1\r\na\r\n0;e\r\nA: b\r\nC:\r\n\r\nrest".utf8), .chunked, step: step)
        #expect(body.trailers == Array("A: b\r\nC:\r\n\r\n".utf8) && body.data == Array("a".utf8))
        #expect(readBody(Array("0\r\n\r\n".utf8), .chunked, step: step).trailers.isEmpty)
    }

    @Test("Only trailers that concern neither framing, routing, access nor the content may be passed on")
    func passedTrailers() {
        var trailers = TrailerFields(of: .request)
        let names = [
            "Content-Length", "Transfer-Encoding", "Host", "Authorization", "Cookie", "Set-Cookie", "Connection", "TE",
            "X-Forwarded-For", "x-forwarded-any", "Forwarded", "Content-Type", "Expect", "Range", "X_Y", "X-Checksum",
            "grpc-status",
        ]
        let section = names.map { "\($0): 1\r\n" }.joined() + "\r\n"
        trailers.parse(Array(section.utf8).span)
        #expect(trailers.count == names.count)
        #expect(
            (0..<trailers.count).filter { trailers[$0].mayBeTrailer }.map { names[$0] } == [
                "X-Checksum", "grpc-status",
            ])
        trailers.parse(Array("A: b\r\n".utf8).span)
        #expect(trailers.count == 0)
    }

    @Test("Chunk lines and trailers have exact limits")
    func limits() {
        let limits = BodyLimits(maxChunkLineBytes: 6, maxTrailerBytes: 8)
        func fault(_ text: String) -> BodyFault? {
            let whole = readBody(text.latin1, .chunked, limits)
            #expect(readBody(text.latin1, .chunked, step: 1, limits) == whole)
            return whole.fault
        }
        #expect(fault("000001\r\na\r\n000000\r\n\r\n") == nil)
        #expect(fault("0000001\r\na\r\n") == .chunkLineTooLong)
        #expect(fault("1;abcd\r\na\r\n1;abcd\r\na\r\n0;abcd\r\n\r\n") == nil)
        #expect(fault("1;abcde\r\na\r\n") == .chunkLineTooLong)
        #expect(fault("0\r\nA: b\r\nC: d\r\n\r\n") == nil)
        #expect(fault("0\r\nA: b\r\nC: de\r\n\r\n") == .trailersTooLarge)
        #expect(fault("0\r\nABCDEFGHI: b\r\n\r\n") == .trailersTooLarge)
    }

    @Test("A body that is mostly framing is refused (RFC 9112 section 7.1.1)")
    func overhead() {
        for kind in [MessageKind.request, .response] {
            func read(_ line: String, times: Int) -> ReadBody {
                let chunks = String(repeating: "\(line)\r\na\r\n", count: times)
                return readBody("\(chunks)0\r\n\r\n".latin1, .chunked, of: kind)
            }
            #expect(read("1", times: 20_000).data.count == 20_000)
            #expect(read("1;abcdefghijklm", times: 20_000).isComplete)
            #expect(read("1;" + String(repeating: "a", count: 200), times: 80).isComplete)
            #expect(read("1;" + String(repeating: "a", count: 200), times: 100).fault == .tooMuchFraming)
            #expect(read(String(repeating: "0", count: 200) + "1", times: 100).fault == .tooMuchFraming)
            let line = "64;" + String(repeating: "a", count: 200) + "\r\n" + String(repeating: "b", count: 100) + "\r\n"
            #expect(
                readBody((String(repeating: line, count: 5000) + "0\r\n\r\n").latin1, .chunked, of: kind).isComplete)
        }
    }

    @Test("A decoder is small enough to be part of each exchange")
    func size() {
        #expect(MemoryLayout<BodyDecoder>.size <= 48)
        #expect(MemoryLayout<HeadScanner>.size <= 16)
        #expect(MemoryLayout<HeaderField>.stride <= 20)
    }
}
