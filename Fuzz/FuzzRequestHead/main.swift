import Foundation
import FuzzDriver
import HTTP1
import HTTP1Checks

// Reads any bytes as a request. The result must not depend on how the bytes are split. An accepted head must be equal
// after it was written in its plainest form and read again.

func take(_ bytes: [UInt8]) {
    guard let head = wholeHead(bytes, .request, fuzzLimits) else {
        // Parsing an incomplete head has no defined result, but must not trap.
        var request = RequestHead()
        _ = request.parse(bytes.span, limits: fuzzLimits)
        return
    }
    guard let first = rewritten(head, fuzzLimits) else { return }
    guard let second = rewritten(first, wideLimits) else { preconditionFailure("what was accepted is refused") }
    precondition(first == second, "what was read reads differently")
}

/// The request as a gateway would forward it; nil if it is refused.
func rewritten(_ head: [UInt8], _ limits: HeadLimits) -> [UInt8]? {
    var request = RequestHead()
    if let fault = request.parse(head.span, limits: limits) {
        precondition(400...599 ~= fault.status && fault.status != 502)
        return nil
    }
    let plain = checkFields(request.fields, head, of: .request)
    precondition(request.framing == plainFraming(plain, of: .request) ?? .none)
    precondition(request.version == .http10 || plain.filter { $0.name == "host" }.count == 1)

    var text = Array(head[request.methodName.range]) + [0x20]
    if let implied = request.target.implied { text.append(implied) }
    let target = Array(head[request.target.pathAndQuery.range])
    var encoded: [UInt8] = []
    request.target.encode(head.span) { encoded.append($0) }
    precondition(request.target.needsEncoding == (encoded != target))
    precondition(encoded.allSatisfy { 0x21...0x7E ~= $0 && !"\"#<>\\^`{|}".utf8.contains($0) })
    precondition(decoded(encoded) == decoded(target), "encoding changes what is asked for")
    text += encoded
    text += (request.version == .http11 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n").utf8
    if !request.host.isEmpty || request.version == .http11 {
        // All names that can't be a host have the same meaning, so one of them is written.
        text += "Host: ".utf8 + (request.host.isEmpty ? [0x2C] : head[request.host.range])
        if let port = request.port { text += ":\(port)".utf8 }
        text += "\r\n".utf8
    }
    for index in 0..<request.fields.count {
        let field = request.fields[index]
        if field.isHopByHop || field.id == .host || field.id == .contentLength { continue }
        text += head[field.name.range] + ": ".utf8 + head[field.value.range] + "\r\n".utf8
    }
    switch request.framing {
    case .length(let length): text += "Content-Length: \(length)\r\n".utf8
    case .chunked: text += "Transfer-Encoding: chunked\r\n".utf8
    default: break
    }
    if let upgrade = request.upgrade {
        text += "Upgrade: ".utf8 + head[upgrade.range] + "\r\nConnection: upgrade\r\n".utf8
    }
    text += (request.keepAlive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n").utf8
    return text
}

/// The bytes with all percent-encoded triplets decoded.
func decoded(_ bytes: [UInt8]) -> [UInt8] {
    var decoded: [UInt8] = []
    var rest = bytes[...]
    while let byte = rest.popFirst() {
        let digits = String(decoding: rest.prefix(2), as: UTF8.self)
        if byte == 0x25, digits.utf8.count == 2, digits.first != "+", let value = UInt8(digits, radix: 16) {
            decoded.append(value)
            rest = rest.dropFirst(2)
        } else {
            decoded.append(byte)
        }
    }
    return decoded
}

exit(fuzz(take))
