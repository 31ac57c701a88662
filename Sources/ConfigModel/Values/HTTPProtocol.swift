/// A version of HTTP, by the name that TLS negotiates (ALPN, RFC 7301).
package enum HTTPProtocol: String, ChoiceValue {
    case http2 = "h2"
    case http11 = "http/1.1"
}
