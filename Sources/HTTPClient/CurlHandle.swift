import CCurl

/// One of curl's easy handles, with the connections that it keeps. One thread at a time uses it.
///
/// Sound to send: a handle may go from thread to thread (libcurl-thread(3)), and its owner lends it to one caller only.
@safe
final class CurlHandle: @unchecked Sendable {
    /// An answer, and where it redirects to.
    struct Answer {
        let response: HTTPResponse
        let redirect: String?
    }

    /// Once for the program; later calls see that it is done.
    private static let isInitialized = aegis_curl_initialize() == CURLE_OK

    let handle: UnsafeMutableRawPointer
    /// Where curl writes what went wrong.
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

    /// Sends a request and waits for its answer. A failure to set curl up is one before anything was sent.
    func perform(
        _ request: HTTPRequest, at target: HTTPTarget, settings: HTTPClient.Settings, timeout: Duration
    ) throws(HTTPFailure) -> Answer {
        let transfer = Transfer(upload: request.body, maximumBytes: settings.maximumBytes)
        let headers = try CurlList(fieldsOf: request)
        let resolutions = try CurlList(settings.resolutions)
        // What curl was told of this call is forgotten at its end, before what it points at goes; connections are kept.
        defer {
            unsafe curl_easy_reset(handle)
            extendLifetime(transfer)
            extendLifetime(headers)
            extendLifetime(resolutions)
        }
        unsafe message.pointee = 0
        // As large as curl asks for, and as long-lived as the handle.
        try unsafe set(CURLOPT_ERRORBUFFER, pointer: message)
        try setTarget(target, settings, timeout)
        try setTrust(settings.authorities)
        try setRequest(request)
        try setCallbacks(transfer)
        // Both outlive the transfer.
        try unsafe set(CURLOPT_HTTPHEADER, pointer: headers.list)
        try unsafe set(CURLOPT_RESOLVE, pointer: resolutions.list)

        let code = unsafe curl_easy_perform(handle)
        guard code == CURLE_OK else {
            if let fault = transfer.fault { throw HTTPFailure("\(target.place): \(fault)", mayHaveArrived: true) }
            throw fault(code).failure(at: target.place, hasOwnAuthorities: settings.authorities != nil)
        }
        let response = HTTPResponse(
            status: number(CURLINFO_RESPONSE_CODE), fields: transfer.fields, body: transfer.body)
        // A text that is valid until the handle's next transfer, copied here.
        let redirect = unsafe aegis_curl_text(handle, CURLINFO_REDIRECT_URL).map { unsafe String(cString: $0) }
        return Answer(response: response, redirect: redirect)
    }

    private func fault(_ code: CURLcode) -> CurlFault {
        // The message ends with a NUL, and curl's own texts are static.
        let detail = unsafe String(cString: message)
        return CurlFault(
            code: code, detail: detail.isEmpty ? unsafe String(cString: curl_easy_strerror(code)) : detail,
            systemError: Int32(truncatingIfNeeded: number(CURLINFO_OS_ERRNO)),
            verifyResult: number(CURLINFO_SSL_VERIFYRESULT),
            // Once the connection is there, TLS included, the request is on its way.
            mayHaveArrived: number(CURLINFO_REQUEST_SIZE) > 0)
    }

    // A living handle, like in all below.
    private func number(_ info: CURLINFO) -> Int { unsafe aegis_curl_number(handle, info) }
}
