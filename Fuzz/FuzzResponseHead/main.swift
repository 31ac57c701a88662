import Foundation
import FuzzDriver
import HTTP1
import HTTP1Checks

// Reads any bytes as a response to each kind of request. The result must not depend on how the bytes are split. An
// accepted head must have only one meaning.

func take(_ bytes: [UInt8]) {
    guard let head = wholeHead(bytes, .response, fuzzLimits) else {
        // Parsing an incomplete head has no defined result, but must not trap.
        var response = ResponseHead()
        _ = response.parse(bytes.span, answering: .get, limits: fuzzLimits)
        return
    }
    for method in [Method.get, .head] {
        guard let first = rewritten(head, method, fuzzLimits) else { continue }
        guard let second = rewritten(first, method, wideLimits) else {
            preconditionFailure("what was accepted is refused")
        }
        precondition(first == second, "what was read reads differently")
    }
}

/// The response with only the parsed parts; nil if it is refused.
func rewritten(_ head: [UInt8], _ method: Method, _ limits: HeadLimits) -> [UInt8]? {
    var response = ResponseHead()
    if response.parse(head.span, answering: method, limits: limits) != nil { return nil }
    let given = plainFraming(checkFields(response.fields, head, of: .response), of: .response)
    precondition(100...999 ~= response.status)
    let hasNoBody = method == .head || response.status < 200 || response.status == 204 || response.status == 304
    precondition(response.framing == (hasNoBody ? .none : given ?? .untilClose))
    precondition(!(response.keepAlive && response.framing == .untilClose))

    var text = Array((response.version == .http11 ? "HTTP/1.1 " : "HTTP/1.0 ").utf8)
    text += "\(response.status) ".utf8 + head[response.reason.range] + "\r\n".utf8
    for index in 0..<response.fields.count {
        let field = response.fields[index]
        if field.isHopByHop || field.id == .contentLength { continue }
        text += head[field.name.range] + ": ".utf8 + head[field.value.range] + "\r\n".utf8
    }
    switch given {
    case .length(let length): text += "Content-Length: \(length)\r\n".utf8
    case .chunked: text += "Transfer-Encoding: chunked\r\n".utf8
    default: break
    }
    text += (response.keepAlive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n").utf8
    return text
}

exit(fuzz(take))
