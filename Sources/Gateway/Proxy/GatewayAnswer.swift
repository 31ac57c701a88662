/// Writes the answers that come from the gateway itself, such as error pages. Error bodies contain the request's ID.
enum GatewayAnswer {
    /// The reason phrase of a status (RFC 9110 section 15; RFC 6585 for 429 and 431).
    static func reason(_ status: Int) -> StaticString {
        switch status {
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 303: "See Other"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 406: "Not Acceptable"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 421: "Misdirected Request"
        case 422: "Unprocessable Content"
        case 426: "Upgrade Required"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Status"
        }
    }

    /// A sentence for the body of an error page. Empty if the status needs none.
    static func explanation(_ status: Int) -> StaticString {
        switch status {
        case 400: "The request is malformed."
        case 404: "No such host is served here."
        case 405: "The request's method is not allowed here."
        case 408: "The request took too long to arrive."
        case 413: "The request's body is larger than this host allows."
        case 414: "The request's target is too long."
        case 417: "The request has an expectation that this server does not support."
        case 421:
            "This connection was made for another host, or its client certificate is no longer accepted for this host."
        case 431: "The request has too many or too large header fields."
        case 501: "This server does not support what the request asks for."
        case 502: "The server behind this gateway could not be reached, or gave no valid answer."
        case 503: "No server can answer now. Try again later."
        case 504: "The server behind this gateway took too long to answer."
        case 505: "This server speaks HTTP/1.1."
        default: ""
        }
    }

    static func writeStatusLine(_ status: Int, to output: borrowing Scratch) {
        output.append("HTTP/1.1 ")
        output.append(decimal: UInt64(status))
        output.append(" ")
        output.append(reason(status))
        output.append("\r\n")
    }

    /// Writes the body of an error answer: a page for browsers, lines of text for other clients. `explanation` replaces
    /// the sentence that belongs to the status.
    static func writeBody(
        _ status: Int, _ id: RequestID, html: Bool, _ explanation: StaticString? = nil, to output: borrowing Scratch
    ) {
        let explanation = explanation ?? Self.explanation(status)
        if html {
            output.append(
                "<!doctype html><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>")
            writeTitle(status, to: output)
            output.append("</title><style>body{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:36em;")
            output.append(
                "padding:0 1em;color:#333}@media(prefers-color-scheme:dark){body{background:#111;color:#ccc}}")
            output.append("small{opacity:.6}</style><h1>")
            writeTitle(status, to: output)
            output.append("</h1><p>")
            output.append(explanation)
            output.append("<p><small>Request ")
            id.write(to: output)
            output.append("</small>\n")
        } else {
            writeTitle(status, to: output)
            output.append("\n")
            output.append(explanation)
            output.append("\nRequest ")
            id.write(to: output)
            output.append("\n")
        }
    }

    private static func writeTitle(_ status: Int, to output: borrowing Scratch) {
        output.append(decimal: UInt64(status))
        output.append(" ")
        output.append(reason(status))
    }
}
