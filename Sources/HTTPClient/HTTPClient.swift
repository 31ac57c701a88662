import PKI
import Synchronization
import SystemPackage

// HTTPClient: calls CAs, cloud APIs and webhooks with libcurl, which no other module imports.
//
// Each call is bounded in time, bytes and header fields, and uses TLS unless the client allows plain HTTP. Calls share
// kept connections and nothing else: no cookies, no .netrc, no cache. curl reads the proxies from the environment:
// https_proxy or HTTPS_PROXY, http_proxy, all_proxy, no_proxy. Calls to this machine itself use no proxy.

/// An HTTP client with its settings and kept connections. Several threads may use a client at the same time.
package final class HTTPClient: Sendable {
    /// The CAs that a server's certificate may come from.
    package enum Trust: Sendable {
        case system
        /// The CAs in a PEM file, without the system's.
        case authoritiesFile(String)
        /// The CAs in a PEM text, without the system's.
        case authorities(pem: [UInt8])
    }

    /// Where URLs may be http, which is not encrypted.
    package enum PlainHTTP: Sendable {
        case nowhere
        /// URLs of this machine itself (RFC 6761 section 6.3).
        case thisMachine
        case everywhere
    }

    /// A fixed address for a host name, used instead of a DNS lookup.
    package struct Resolution: Sendable {
        package let host: String
        /// The port of URLs to which the fixed address applies.
        package let port: Int
        package let address: String

        package init(host: String, port: Int, address: String) {
            self.host = host
            self.port = port
            self.address = address
        }
    }

    struct Settings: Sendable {
        /// The trusted CAs in PEM. Nil means the system's CAs.
        var authorities: [UInt8]?
        var credential: TLSCredential?
        var userAgent: String
        var timeout: Duration
        var maximumBytes: Int
        var resolutions: [Resolution]
    }

    /// The maximum number of idle handles. A handle that becomes idle beyond this limit is closed.
    private static let keptHandles = 8
    /// The largest accepted file of CA certificates, in bytes. The system's own file has 200 KiB.
    private static let maximumTrustBytes = 4 << 20

    private let settings: Settings
    private let maximumRedirects: Int
    private let plainHTTP: PlainHTTP
    /// The idle handles, each with its kept connections. A call takes the handle that was used last.
    private let idle = Mutex<[CurlHandle]>([])

    /// - Parameters:
    ///   - trust: The CAs to trust. The initializer reads the file, if one is named.
    ///   - credential: The certificate and key that the client shows to servers that ask for one.
    ///   - userAgent: The field User-Agent, such as "aegis/1.0".
    ///   - timeout: The time limit for a call, including redirects. Connecting may take at most 10 s of it.
    ///   - maximumBytes: The largest body of an answer.
    ///   - followsRedirects: How many redirects a GET or HEAD follows. Beyond this number, the redirect is returned as
    ///     the answer. A redirect from https to http is an error.
    ///   - plainHTTP: Where URLs may be http.
    ///   - resolutions: Host names with fixed addresses. If there are any, the client uses no proxy.
    /// - Throws: If the CA certificates can't be read.
    package init(
        trust: Trust = .system, credential: TLSCredential? = nil, userAgent: String, timeout: Duration = .seconds(30),
        maximumBytes: Int = 1 << 20, followsRedirects: Int = 0, plainHTTP: PlainHTTP = .nowhere,
        resolutions: [Resolution] = []
    ) throws(HTTPFailure) {
        settings = Settings(
            authorities: try Self.authorities(of: trust), credential: credential, userAgent: userAgent,
            timeout: timeout, maximumBytes: maximumBytes, resolutions: resolutions)
        maximumRedirects = followsRedirects
        self.plainHTTP = plainHTTP
    }

    /// Throws if a request to the URL would be rejected without being sent.
    package func check(_ url: String) throws(HTTPFailure) { _ = try HTTPTarget(url, plainHTTP) }

    /// Sends a request and returns the answer, whatever its status. If a kept connection fails, the request is sent
    /// again on a new connection, but only if the server can't have received it or the method is idempotent (RFC 9110
    /// section 9.2.2).
    package func send(_ request: HTTPRequest) throws(HTTPFailure) -> HTTPResponse {
        let deadline = ContinuousClock.now + min(settings.timeout, request.timeout ?? settings.timeout)
        let first = try HTTPTarget(request.url, plainHTTP)
        var (request, target, followed) = (request, first, 0)
        while true {
            let answer = try perform(request, target, before: deadline)
            guard followed < maximumRedirects, request.method == .get || request.method == .head,
                let location = answer.redirect
            else { return answer.response }
            target = try Self.follow(location, from: target, plainHTTP)
            if !target.hasSameOrigin(as: first) { request.authorization = nil }
            followed += 1
        }
    }

    private static func follow(
        _ location: String, from target: HTTPTarget, _ plainHTTP: PlainHTTP
    ) throws(HTTPFailure) -> HTTPTarget {
        do {
            return try HTTPTarget(location, target.isEncrypted ? .nowhere : plainHTTP)
        } catch {
            throw HTTPFailure("\(target.place): redirects to a \(error.reason)", mayHaveArrived: true)
        }
    }

    private func perform(
        _ request: HTTPRequest, _ target: HTTPTarget, before deadline: ContinuousClock.Instant
    ) throws(HTTPFailure) -> CurlHandle.Answer {
        let kept = idle.withLock { $0.popLast() }
        let handle = if let kept { kept } else { try CurlHandle() }
        defer {
            idle.withLock { idle in
                if idle.count < Self.keptHandles { idle.append(handle) }
            }
        }
        return try handle.perform(request, at: target, settings: settings, timeout: deadline - .now)
    }

    private static func authorities(of trust: Trust) throws(HTTPFailure) -> [UInt8]? {
        let (pem, name): ([UInt8], String)
        switch trust {
        case .system: return nil
        case .authorities(let text): (pem, name) = (text, "the PEM text")
        case .authoritiesFile(let path): (pem, name) = (try read(path), "'\(path)'")
        }
        guard String(decoding: pem, as: UTF8.self).contains("-----BEGIN CERTIFICATE-----") else {
            throw HTTPFailure("no CA certificates to trust in \(name): expected PEM", mayHaveArrived: false)
        }
        return pem
    }

    private static func read(_ path: String) throws(HTTPFailure) -> [UInt8] {
        do {
            let file = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
            return try file.closeAfter {
                try unsafe [UInt8](unsafeUninitializedCapacity: maximumTrustBytes) { buffer, count in
                    while count < maximumTrustBytes {
                        // This is safe, since `rest` is the part of the buffer after the `count` bytes that were
                        // already read.
                        let rest = unsafe UnsafeMutableRawBufferPointer(
                            rebasing: UnsafeMutableRawBufferPointer(buffer)[count...])
                        let read = try unsafe file.read(into: rest)
                        if read == 0 { return }
                        count += read
                    }
                    throw Errno.fileTooLarge
                }
            }
        } catch {
            throw HTTPFailure("can't read the CA certificates in '\(path)': \(error)", mayHaveArrived: false)
        }
    }
}
