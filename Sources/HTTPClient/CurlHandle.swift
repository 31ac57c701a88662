import CCurl

/// An easy handle of curl with its kept connections. Only one thread may use the handle at a time.
///
/// `@unchecked Sendable` is sound: different threads may use a handle in turn (libcurl-thread(3)), and HTTPClient lends
/// each handle to one call at a time.
@safe
final class CurlHandle: @unchecked Sendable {
    struct Answer {
        let response: HTTPResponse
        let redirect: String?
    }

    /// Initializes curl on first use, once per process.
    private static let isInitialized = aegis_curl_initialize() == CURLE_OK

    let handle: UnsafeMutableRawPointer
    /// curl writes the text of an error into this buffer of CURL_ERROR_SIZE bytes.
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

    /// Sends a request and waits for the answer.
    func perform(
        _ request: HTTPRequest, at target: HTTPTarget, settings: HTTPClient.Settings, timeout: Duration
    ) throws(HTTPFailure) -> Answer {
        let transfer = Transfer(
            upload: request.body, maximumBytes: settings.maximumBytes, mayBeSent: request.mayBeSent)
        let headers = try CurlList(fieldsOf: request)
        let resolutions = try CurlList(settings.resolutions)
        // curl_easy_reset drops the options' pointers before the memory behind them is freed. The handle keeps its
        // connections.
        defer {
            unsafe curl_easy_reset(handle)
            extendLifetime(transfer)
            extendLifetime(headers)
            extendLifetime(resolutions)
            extendLifetime(settings)
        }
        unsafe message.pointee = 0
        // This is safe, since the buffer has the size that curl requires (CURL_ERROR_SIZE) and lives as long as the
        // handle.
        try unsafe set(CURLOPT_ERRORBUFFER, pointer: message)
        try setTarget(target, settings, timeout)
        try setTLS(settings.authorities, settings.credential)
        try setRequest(request)
        try setCallbacks(transfer)
        // This is safe, since `headers` and `resolutions` outlive the transfer, as the `defer` above ensures.
        try unsafe set(CURLOPT_HTTPHEADER, pointer: headers.list)
        try unsafe set(CURLOPT_RESOLVE, pointer: resolutions.list)

        let code = unsafe curl_easy_perform(handle)
        guard code == CURLE_OK else {
            if let fault = transfer.fault { throw HTTPFailure("\(target.place): \(fault)", mayHaveArrived: true) }
            throw fault(code).failure(at: target.place, hasOwnAuthorities: settings.authorities != nil)
        }
        let response = HTTPResponse(
            status: number(CURLINFO_RESPONSE_CODE), fields: transfer.fields, body: transfer.body)
        // This is safe, since the text stays valid until the handle's next transfer, and String copies it.
        let redirect = unsafe aegis_curl_text(handle, CURLINFO_REDIRECT_URL).map { unsafe String(cString: $0) }
        return Answer(response: response, redirect: redirect)
    }

    private func fault(_ code: CURLcode) -> CurlFault {
        // This is safe, since curl ends the message with NUL, and curl_easy_strerror returns a static text.
        let detail = unsafe String(cString: message)
        return CurlFault(
            code: code, detail: detail.isEmpty ? unsafe String(cString: curl_easy_strerror(code)) : detail,
            systemError: Int32(truncatingIfNeeded: number(CURLINFO_OS_ERRNO)),
            verifyResult: number(CURLINFO_SSL_VERIFYRESULT),
            // curl sends the request only after the TLS handshake. If no byte of the request was sent, it can't have
            // arrived.
            mayHaveArrived: number(CURLINFO_REQUEST_SIZE) > 0)
    }

    // This is safe, since the handle lives as long as `self`.
    private func number(_ info: CURLINFO) -> Int { unsafe aegis_curl_number(handle, info) }
}
