import CCurl

/// An easy handle of curl with its kept connections. Only one thread uses it at a time.
///
/// Sound to send: a handle may be used by different threads in turn (libcurl-thread(3)), and its owner lends it to one
/// caller only.
@safe
final class CurlHandle: @unchecked Sendable {
    /// An answer; if it is a redirect, also the URL that it leads to.
    struct Answer {
        let response: HTTPResponse
        let redirect: String?
    }

    /// Initializes curl once for the whole program.
    private static let isInitialized = aegis_curl_initialize() == CURLE_OK

    let handle: UnsafeMutableRawPointer
    /// The buffer into which curl writes its error message.
    private let message: UnsafeMutablePointer<CChar>

    init() throws(HTTPFailure) {
        guard Self.isInitialized, let handle = unsafe curl_easy_init() else {
            throw HTTPFailure("libcurl can't be started", mayHaveArrived: false)
        }
        unsafe self.handle = unsafe handle
        unsafe message = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
    }

    deinit {
        unsafe curl_easy_cleanup(handle)
        unsafe message.deallocate()
    }

    /// Sends a request and waits for its answer. If setting up curl fails, nothing was sent.
    func perform(
        _ request: HTTPRequest, at target: HTTPTarget, settings: HTTPClient.Settings, timeout: Duration
    ) throws(HTTPFailure) -> Answer {
        let transfer = Transfer(upload: request.body, maximumBytes: settings.maximumBytes)
        let headers = try CurlList(fieldsOf: request)
        let resolutions = try CurlList(settings.resolutions)
        // The options of this call are reset before the memory that they point at is freed. The handle keeps its
        // connections.
        defer {
            unsafe curl_easy_reset(handle)
            extendLifetime(transfer)
            extendLifetime(headers)
            extendLifetime(resolutions)
        }
        unsafe message.pointee = 0
        // The buffer has the size that curl requires, and lives as long as the handle.
        try unsafe set(CURLOPT_ERRORBUFFER, pointer: message)
        try setTarget(target, settings, timeout)
        try setTrust(settings.authorities)
        try setRequest(request)
        try setCallbacks(transfer)
        // Both lists outlive the transfer.
        try unsafe set(CURLOPT_HTTPHEADER, pointer: headers.list)
        try unsafe set(CURLOPT_RESOLVE, pointer: resolutions.list)

        let code = unsafe curl_easy_perform(handle)
        guard code == CURLE_OK else {
            if let fault = transfer.fault { throw HTTPFailure("\(target.place): \(fault)", mayHaveArrived: true) }
            throw fault(code).failure(at: target.place, hasOwnAuthorities: settings.authorities != nil)
        }
        let response = HTTPResponse(
            status: number(CURLINFO_RESPONSE_CODE), fields: transfer.fields, body: transfer.body)
        // curl's text is valid until the handle's next transfer, and is copied here.
        let redirect = unsafe aegis_curl_text(handle, CURLINFO_REDIRECT_URL).map { unsafe String(cString: $0) }
        return Answer(response: response, redirect: redirect)
    }

    private func fault(_ code: CURLcode) -> CurlFault {
        // curl ends the message with a NUL, and its own texts are static.
        let detail = unsafe String(cString: message)
        return CurlFault(
            code: code, detail: detail.isEmpty ? unsafe String(cString: curl_easy_strerror(code)) : detail,
            systemError: Int32(truncatingIfNeeded: number(CURLINFO_OS_ERRNO)),
            verifyResult: number(CURLINFO_SSL_VERIFYRESULT),
            // curl counts the bytes of the request that it has sent. It begins to send them after the TLS handshake.
            mayHaveArrived: number(CURLINFO_REQUEST_SIZE) > 0)
    }

    // Sound: the handle lives as long as self.
    private func number(_ info: CURLINFO) -> Int { unsafe aegis_curl_number(handle, info) }
}
