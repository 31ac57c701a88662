import CCurl
import PKI

/// Sets curl's options for a call.
extension CurlHandle {
    private static let connectTimeout = Duration.seconds(10)
    /// The longest idle time of a connection that is used again, in seconds. Many servers close idle connections after
    /// a minute.
    private static let idleSeconds = 30

    func setTarget(_ target: HTTPTarget, _ settings: HTTPClient.Settings, _ timeout: Duration) throws(HTTPFailure) {
        try set(CURLOPT_URL, target.url)
        try set(CURLOPT_PROTOCOLS_STR, target.isEncrypted ? "https" : "http")
        try set(CURLOPT_USERAGENT, settings.userAgent)
        // HTTP/1.1 has one request at a time on a connection. Its fields pass only through curl's own memory, which is
        // wiped; HTTP/2's library would keep copies of them.
        try set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1)
        // A timeout of 0 would mean none.
        try set(CURLOPT_TIMEOUT_MS, max(1, timeout.milliseconds))
        try set(CURLOPT_CONNECTTIMEOUT_MS, max(1, min(timeout, Self.connectTimeout).milliseconds))
        // curl must not use signals, and must not wait for the system's resolver after the timeout.
        try set(CURLOPT_NOSIGNAL, 1)
        try set(CURLOPT_QUICK_EXIT, 1)
        try set(CURLOPT_MAXAGE_CONN, Self.idleSeconds)
        try set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        if target.isLoopback || !settings.resolutions.isEmpty { try set(CURLOPT_PROXY, "") }
    }

    func setTrust(_ authorities: [UInt8]?) throws(HTTPFailure) {
        try set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
        try check(
            unsafe aegis_curl_set_tls_callback(handle) { _, context, _ in
                guard let context = unsafe context else { return CURLE_SSL_CONNECT_ERROR }
                unsafe ServerNames.require(in: context)
                return CURLE_OK
            })
        // For system certificates, as in OpenSSL, only a complete chain to a root counts. A certificate from
        // `authorities` is trusted by itself (see TLSClientContext).
        guard let authorities else { return try set(CURLOPT_SSL_OPTIONS, Int(CURLSSLOPT_NO_PARTIALCHAIN)) }
        // curl copies the bytes.
        try check(unsafe aegis_curl_set_bytes(handle, CURLOPT_CAINFO_BLOB, authorities, authorities.count))
        // Otherwise curl would trust the system's directory too.
        try check(unsafe aegis_curl_set_text(handle, CURLOPT_CAPATH, nil))
    }

    func setRequest(_ request: HTTPRequest) throws(HTTPFailure) {
        if let body = request.body {
            try set(CURLOPT_POST, 1)
            try check(unsafe aegis_curl_set_size(handle, CURLOPT_POSTFIELDSIZE_LARGE, Int(body.count)))
        } else {
            try set(request.method == .head ? CURLOPT_NOBODY : CURLOPT_HTTPGET, 1)
        }
        if request.method != .head { try set(CURLOPT_CUSTOMREQUEST, request.method.rawValue) }
        // When a kept connection ends without an answer, curl sends the request again. It can't if there is a body,
        // since it can't read the body twice. A request without a body that must not be done twice gets a new
        // connection.
        if request.body?.isEmpty ?? true, request.method == .post || request.method == .patch {
            try set(CURLOPT_FRESH_CONNECT, 1)
        }
    }

    func setCallbacks(_ transfer: Transfer) throws(HTTPFailure) {
        // The caller keeps the transfer alive until curl is done.
        let context = unsafe Unmanaged.passUnretained(transfer).toOpaque()
        try check(
            unsafe aegis_curl_set_callback(
                handle, CURLOPT_WRITEFUNCTION,
                { bytes, _, count, context in
                    let isFine = unsafe Transfer.at(context).receive(UnsafeRawBufferPointer(start: bytes, count: count))
                    return isFine ? count : 0
                }, CURLOPT_WRITEDATA, context))
        try check(
            unsafe aegis_curl_set_callback(
                handle, CURLOPT_HEADERFUNCTION,
                { bytes, _, count, context in
                    let line = unsafe UnsafeRawBufferPointer(start: bytes, count: count)
                    return unsafe Transfer.at(context).receiveHead(line) ? count : 0
                }, CURLOPT_HEADERDATA, context))
        try check(
            unsafe aegis_curl_set_callback(
                handle, CURLOPT_READFUNCTION,
                { bytes, _, count, context in
                    unsafe Transfer.at(context).give(UnsafeMutableRawBufferPointer(start: bytes, count: count))
                }, CURLOPT_READDATA, context))
    }

    /// Sets a pointer. The memory behind it must stay valid until the transfer is over.
    func set(_ option: CURLoption, pointer: UnsafeMutableRawPointer?) throws(HTTPFailure) {
        try check(unsafe aegis_curl_set_pointer(handle, option, pointer))
    }

    private func set(_ option: CURLoption, _ value: Int) throws(HTTPFailure) {
        try check(unsafe aegis_curl_set_number(handle, option, value))
    }

    private func set(_ option: CURLoption, _ value: String) throws(HTTPFailure) {
        // curl copies the text.
        try check(unsafe aegis_curl_set_text(handle, option, value))
    }

    private func check(_ code: CURLcode) throws(HTTPFailure) {
        // curl's texts are static.
        guard code == CURLE_OK else {
            throw HTTPFailure("libcurl: \(unsafe String(cString: curl_easy_strerror(code)))", mayHaveArrived: false)
        }
    }
}

extension Transfer {
    /// The transfer whose pointer curl passes to a callback.
    fileprivate static func at(_ context: UnsafeMutableRawPointer?) -> Transfer {
        guard let context = unsafe context else { preconditionFailure("curl was given a transfer") }
        // The pointer is the one from setCallbacks; the transfer lives until curl is done.
        return unsafe Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    }
}

extension Duration {
    fileprivate var milliseconds: Int {
        Int(components.seconds) * 1000 + Int(components.attoseconds / 1_000_000_000_000_000)
    }
}
