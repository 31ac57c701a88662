import HTTP1

/// Calls of gRPC (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). They are requests over HTTP/2 whose
/// responses end with trailers that contain the call's status.
extension Worker {
    /// Whether a Content-Type is that of gRPC. That of gRPC-Web, for example, is another one.
    static func isCall(_ type: Bytes) -> Bool {
        guard type.starts(with: "application/grpc") else { return false }
        let rest = type.from("application/grpc".utf8.count)
        return rest.isEmpty || rest[0] == UInt8(ascii: "+") || rest[0] == UInt8(ascii: ";")
    }

    /// Notes the status of a call, if it is among the fields of the head in `responseHead`. Then the response has no body.
    func noteCallStatus(_ head: Bytes, _ exchange: SlotID) {
        for index in 0..<responseHead.fields.count {
            let field = responseHead.fields[index]
            guard head[field.name.range].equalsIgnoringCase("grpc-status") else { continue }
            exchanges[exchange].callStatus = CallStatus.code(head[field.value.range]) ?? CallStatus.unknown
        }
    }

    /// Notes the status of a call, if it is among the trailers of its response.
    func noteCallStatus(_ exchange: SlotID) {
        let section = exchanges[exchange].responseTrailers.bytes
        responseTrailers.parse(section.span)
        for index in 0..<responseTrailers.count {
            let field = responseTrailers[index]
            guard section[field.name.range].equalsIgnoringCase("grpc-status") else { continue }
            exchanges[exchange].callStatus = CallStatus.code(section[field.value.range]) ?? CallStatus.unknown
        }
    }

    /// Answers a call that no upstream has answered, in gRPC's own form: a head with the call's status, and no body.
    ///
    /// - Parameter status: The HTTP status that the client would get if its request were no call of gRPC.
    func answerCall(_ exchange: SlotID, _ status: Int) {
        let code = CallStatus.code(for: status)
        memory.output.clear()
        GatewayAnswer.writeStatusLine(200, to: memory.output)
        memory.output.append(clock.dateLine)
        memory.output.append("Content-Type: application/grpc\r\nContent-Length: 0\r\nGrpc-Status: ")
        memory.output.append(decimal: UInt64(code))
        memory.output.append("\r\nGrpc-Message: ")
        memory.output.append(GatewayAnswer.explanation(status))
        memory.output.append("\r\nX-Request-Id: ")
        exchanges[exchange].requestID.write(to: memory.output)
        memory.output.append("\r\n\r\n")
        exchanges[exchange].status = 200
        exchanges[exchange].callStatus = code
        exchanges[exchange].hasResponseHead = true
        guard deliver(memory.output.bytes, to: exchanges[exchange].client) else { return }
        finish(exchange)
    }
}
