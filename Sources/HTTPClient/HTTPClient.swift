import PKI
import Synchronization
import SystemPackage

// HTTPClient: calls CAs, APIs of other parties and webhooks over HTTP; by libcurl, which no other module imports.
//
// Each call is bounded in time, bytes and fields. It is encrypted unless the client allows plain HTTP. Calls share
// nothing but kept connections: no cookies, no .netrc, no caches. Proxies are those of the environment as curl reads
// it: https_proxy or HTTPS_PROXY, http_proxy, all_proxy, no_proxy. No proxy is used for this machine itself.

/// An HTTP client with its settings and kept connections. Several threads can send at once.
package final class HTTPClient: Sendable {
    /// The CAs that may have issued a server's certificate.
    package enum Trust: Sendable {
        /// The CAs that the system trusts.
        case system
        /// The CAs in a PEM file, and no others.
        case authoritiesFile(String)
        /// The CAs in a PEM text, and no others.
        case authorities(pem: [UInt8])
    }

    /// A name with a fixed address, which is not looked up.
    package struct Resolution: Sendable {
        /// The host of the URLs that this applies to.
        package let host: String
        /// The port of the URLs that this applies to.
        package let port: Int
        /// The IP address to connect to.
        package let address: String

        package init(host: String, port: Int, address: String) {
            self.host = host
            self.port = port
            self.address = address
        }
    }

    /// The settings for all calls of a client.
    struct Settings: Sendable {
        /// The trusted CAs in PEM; nil: the system's.
        var authorities: [UInt8]?
        var userAgent: String
        var timeout: Duration
        var maximumBytes: Int
        var resolutions: [Resolution]
    }

    /// The most idle handles that are kept; further ones are closed.
    private static let keptHandles = 8
    /// The largest accepted file of trusted certificates, in bytes. The system's own has 200 KiB.
    private static let maximumTrustBytes = 4 << 20

    private let settings: Settings
    private let maximumRedirects: Int
    private let allowsPlainHTTP: Bool
    /// The idle handles, each with its own connections. The one used last is used again first.
    private let idle = Mutex<[CurlHandle]>([])

    /// Makes a client.
    ///
    /// - Parameters:
    ///   - trust: The CAs to trust. A file is read now.
    ///   - userAgent: The User-Agent field, such as "aegis/1.0".
    ///   - timeout: The longest time of a call in all, redirects included. Connecting may take at most 10 s of it.
    ///   - maximumBytes: The largest body of an answer.
    ///   - followsRedirects: The most redirects that a GET or HEAD follows. After these, the next redirect is the
    ///     result. Following a redirect from https to http is an error.
    ///   - allowsPlainHTTP: Whether URLs may be http.
    ///   - resolutions: Names with fixed addresses. If there are any, no proxy is used.
    /// - Throws: When the trusted certificates can't be read.
    package init(
        trust: Trust = .system, userAgent: String, timeout: Duration = .seconds(30), maximumBytes: Int = 1 << 20,
        followsRedirects: Int = 0, allowsPlainHTTP: Bool = false, resolutions: [Resolution] = []
    ) throws(HTTPFailure) {
        settings = Settings(
            authorities: try Self.authorities(of: trust), userAgent: userAgent, timeout: timeout,
            maximumBytes: maximumBytes, resolutions: resolutions)
        maximumRedirects = followsRedirects
        self.allowsPlainHTTP = allowsPlainHTTP
    }

    /// Sends a request and returns the answer, whatever its status. When a reused connection fails, the request is
    /// repeated only if the server can't have received it, or if doing it twice has the effect of once (RFC 9110
    /// section 9.2.2).
    package func send(_ request: HTTPRequest) throws(HTTPFailure) -> HTTPResponse {
        let deadline = ContinuousClock.now + min(settings.timeout, request.timeout ?? settings.timeout)
        let first = try HTTPTarget(request.url, allowsPlainHTTP: allowsPlainHTTP)
        var (request, target, followed) = (request, first, 0)
        while true {
            let answer = try perform(request, target, before: deadline)
            guard followed < maximumRedirects, request.method == .get || request.method == .head,
                let location = answer.redirect
            else { return answer.response }
            target = try Self.follow(location, from: target, allowsPlainHTTP: allowsPlainHTTP)
            if !target.hasSameOrigin(as: first) { request.authorization = nil }
            followed += 1
        }
    }

    private static func follow(
        _ location: String, from target: HTTPTarget, allowsPlainHTTP: Bool
    ) throws(HTTPFailure) -> HTTPTarget {
        do {
            return try HTTPTarget(location, allowsPlainHTTP: allowsPlainHTTP && !target.isEncrypted)
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
                        // `rest` is the part of the buffer that has not been written, so the call stays within the
                        // buffer.
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
