/// The fields that the gateway recognises. A client can't make the gateway remove one of the end-to-end fields by
/// naming the field in Connection (RFC 9110 section 7.6.1).
public enum KnownField: UInt8, CaseIterable, Sendable {
    /// Any field that is not listed here.
    case other
    // Hop-by-hop fields (RFC 9110 section 7.6.1): `isHopByHop` is true from `connection` to `upgrade`.
    case connection, http2Settings, keepAlive, proxyAuthenticate, proxyAuthenticationInfo, proxyAuthorization
    case proxyConnection, te, trailer, transferEncoding, upgrade
    // Fields that identify the client or the host that the client asks for.
    case authorization, cfConnectingIP, clientCert, clientCertChain, cookie, forwarded, host, origin, referer, userAgent
    case via, xForwardedClientCert, xForwardedFor, xForwardedHost, xForwardedPort, xForwardedProto, xRealIP, xRequestID
    /// Any other field whose name begins with `X-Forwarded-`.
    case xForwardedOther
    // Other end-to-end fields.
    case accept, acceptEncoding, acceptLanguage, age, allow, altSvc, cacheControl
    case contentEncoding, contentLanguage, contentLength, contentLocation, contentRange, contentSecurityPolicy
    case contentType, date, etag, expect, expires, ifMatch, ifModifiedSince, ifNoneMatch, ifRange, ifUnmodifiedSince
    case lastModified, location, maxForwards, pragma, range, retryAfter, secWebSocketAccept, secWebSocketExtensions
    case secWebSocketKey, secWebSocketProtocol, secWebSocketVersion, server, setCookie, strictTransportSecurity, vary
    case wwwAuthenticate

    /// Whether the field applies to one connection only, by its definition.
    @inlinable public var isHopByHop: Bool {
        rawValue >= KnownField.connection.rawValue && rawValue <= KnownField.upgrade.rawValue
    }

    /// Whether exactly one name maps to this case. Such a name is a token and needs no further check.
    @inline(__always) var isOneName: Bool { self != .other && self != .xForwardedOther }

    /// The field for a name whose letters are folded to lower case.
    @inline(__always)
    static func named(_ name: PackedText) -> KnownField { name.count <= 8 ? short(name) : long(name) }

    private static func short(_ name: PackedText) -> KnownField {
        switch name.count {
        case 2: name == "te" ? .te : .other
        case 3:
            switch name {
            case "age": .age
            case "via": .via
            default: .other
            }
        case 4:
            switch name {
            case "host": .host
            case "date": .date
            case "etag": .etag
            case "vary": .vary
            default: .other
            }
        case 5:
            switch name {
            case "range": .range
            case "allow": .allow
            default: .other
            }
        case 6:
            switch name {
            case "accept": .accept
            case "cookie": .cookie
            case "origin": .origin
            case "expect": .expect
            case "server": .server
            case "pragma": .pragma
            default: .other
            }
        case 7:
            switch name {
            case "referer": .referer
            case "upgrade": .upgrade
            case "trailer": .trailer
            case "alt-svc": .altSvc
            case "expires": .expires
            default: .other
            }
        case 8:
            switch name {
            case "if-match": .ifMatch
            case "if-range": .ifRange
            case "location": .location
            default: .other
            }
        default: .other
        }
    }

    private static func long(_ name: PackedText) -> KnownField {
        switch name.count {
        case 9:
            switch name {
            case "forwarded": .forwarded
            case "x-real-ip": .xRealIP
            default: .other
            }
        case 10:
            switch name {
            case "user-agent": .userAgent
            case "connection": .connection
            case "keep-alive": .keepAlive
            case "set-cookie": .setCookie
            default: .other
            }
        case 11:
            switch name {
            case "client-cert": .clientCert
            case "retry-after": .retryAfter
            default: .other
            }
        case 12:
            switch name {
            case "content-type": .contentType
            case "x-request-id": .xRequestID
            case "max-forwards": .maxForwards
            default: forwardedOrOther(name)
            }
        case 13:
            switch name {
            case "authorization": .authorization
            case "cache-control": .cacheControl
            case "if-none-match": .ifNoneMatch
            case "last-modified": .lastModified
            case "content-range": .contentRange
            default: forwardedOrOther(name)
            }
        case 14:
            switch name {
            case "content-length": .contentLength
            case "http2-settings": .http2Settings
            default: forwardedOrOther(name)
            }
        case 15:
            switch name {
            case "accept-encoding": .acceptEncoding
            case "accept-language": .acceptLanguage
            case "x-forwarded-for": .xForwardedFor
            default: forwardedOrOther(name)
            }
        default: longest(name)
        }
    }

    private static func longest(_ name: PackedText) -> KnownField {
        switch name {
        case "content-encoding": .contentEncoding
        case "cf-connecting-ip": .cfConnectingIP
        case "content-language": .contentLanguage
        case "content-location": .contentLocation
        case "proxy-connection": .proxyConnection
        case "www-authenticate": .wwwAuthenticate
        case "client-cert-chain": .clientCertChain
        case "x-forwarded-host": .xForwardedHost
        case "x-forwarded-port": .xForwardedPort
        case "if-modified-since": .ifModifiedSince
        case "sec-websocket-key": .secWebSocketKey
        case "transfer-encoding": .transferEncoding
        case "x-forwarded-proto": .xForwardedProto
        case "proxy-authenticate": .proxyAuthenticate
        case "if-unmodified-since": .ifUnmodifiedSince
        case "proxy-authorization": .proxyAuthorization
        case "sec-websocket-accept": .secWebSocketAccept
        case "sec-websocket-version": .secWebSocketVersion
        case "sec-websocket-protocol": .secWebSocketProtocol
        case "x-forwarded-client-cert": .xForwardedClientCert
        case "content-security-policy": .contentSecurityPolicy
        case "sec-websocket-extensions": .secWebSocketExtensions
        case "strict-transport-security": .strictTransportSecurity
        case "proxy-authentication-info": .proxyAuthenticationInfo
        default: forwardedOrOther(name)
        }
    }

    private static func forwardedOrOther(_ name: PackedText) -> KnownField {
        name.begins(with: "x-forwarded-") ? .xForwardedOther : .other
    }
}
