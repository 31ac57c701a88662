import HTTP1
import Testing

@Suite("WebSocket frames")
struct WebSocketFramesTests {
    /// A server's frame (RFC 6455 section 5.2) with the shortest possible length field; with `masked`, a client's
    /// frame.
    private static func frame(_ count: Int, masked: Bool = false) -> [UInt8] {
        let mask: UInt8 = masked ? 0x80 : 0
        var bytes: [UInt8] = [0x82]
        switch count {
        case ..<126: bytes.append(mask | UInt8(count))
        case ..<65_536: bytes += [mask | 126, UInt8(count >> 8), UInt8(count & 0xFF)]
        default: bytes += [mask | 127] + (0..<8).reversed().map { UInt8(count >> ($0 * 8) & 0xFF) }
        }
        return bytes + (masked ? [1, 2, 3, 4] : []) + [UInt8](repeating: 0x88, count: count)
    }

    @Test(
        "A boundary is found exactly between frames",
        arguments: [0, 1, 125, 126, 300, 65_535, 65_536, 70_000])
    func boundaries(_ count: Int) {
        for masked in [false, true] {
            let frames = Self.frame(count, masked: masked) + Self.frame(3, masked: masked)
            let first = Self.frame(count, masked: masked).count
            var state = WebSocketFrames()
            #expect(state.isAtBoundary)
            for index in frames.indices {
                state.follow([frames[index]].span)
                #expect(state.isAtBoundary == (index + 1 == first || index + 1 == frames.count))
            }
            var whole = WebSocketFrames()
            whole.follow(frames.span)
            #expect(whole.isAtBoundary)
        }
    }
}
