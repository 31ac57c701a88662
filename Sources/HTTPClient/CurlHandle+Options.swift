import CCurl
import PKI

extension CurlHandle {
    private static let connectTimeout = Duration.seconds(10)
    /// The idle time after which a connection is not used again, in seconds. Many servers close idle connections after
    /// a minute.
    private static let idleSeconds = 30

    func setTarget(_ target: HTTPTarget, _ settings: HTTPClient.Settings, _ timeout: Duration) throws(HTTPFailure) {
        try set(CURLOPT_URL, target.url)
        try set(CURLOPT_PROTOCOLS_STR, target.isEncrypted ? "https" : "http")
        try set(CURLOPT_USERAGENT, settings.userAgent)
        // HTTP/1.1 keeps the credentials in curl's own memory, which is wiped. The library that curl uses for HTTP/2
        // would make copies that nobody wipes.
        try set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1)
        // To curl, a timeout of 0 means no timeout.
        try set(CURLOPT_TIMEOUT_MS, max(1, timeout.milliseconds))
        try set(CURLOPT_CONNECTTIMEOUT_MS, max(1, min(timeout, Self.connectTimeout).milliseconds))
        // Without NOSIGNAL, curl would use SIGALRM for timeouts. Without QUICK_EXIT, curl would wait for the resolver's
        // thread even after the timeout.
        try set(CURLOPT_NOSIGNAL, 1)
        try set(CURLOPT_QUICK_EXIT, 1)
        try set(CURLOPT_MAXAGE_CONN, Self.idleSeconds)
        try set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        if target.isLoopback || !settings.resolutions.isEmpty { try set(CURLOPT_PROXY, "") }
    }

    /// Sets the trusted CAs, and the credential that the client shows if the server asks for one. `credential` must
    /// live until the transfer is over.
    func setTLS(_ authorities: [UInt8]?, _ credential: TLSCredential?) throws(HTTPFailure) {
        try set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
        // The unretained pointer is safe, since the settings keep the credential alive until curl no longer uses it.
        // OpenSSL gets the parsed key itself, so the key is not copied.
        let shown = unsafe credential.map { unsafe Unmanaged.passUnretained($0).toOpaque() }
        try check(
            unsafe aegis_curl_set_tls_callback(
                handle,
                { _, context, shown in
                    guard let context = unsafe context else { return CURLE_SSL_CONNECT_ERROR }
                    unsafe ServerNames.require(in: context)
                    guard let shown = unsafe shown else { return CURLE_OK }
                    let credential = unsafe Unmanaged<TLSCredential>.fromOpaque(shown).takeUnretainedValue()
                    return unsafe credential.use(inContext: context) ? CURLE_OK : CURLE_SSL_CERTPROBLEM
                }, shown))
        // With the system's CAs, a chain must end in a root. In `authorities`, each certificate is trusted by itself,
        // even if it is no root (as in PeerTrust).
        guard let authorities else { return try set(CURLOPT_SSL_OPTIONS, Int(CURLSSLOPT_NO_PARTIALCHAIN)) }
        // curl copies the bytes, so `authorities` need not outlive the call.
        try check(unsafe aegis_curl_set_bytes(handle, CURLOPT_CAINFO_BLOB, authorities, authorities.count))
        // Without this call, curl would also trust the certificates in the system's directory.
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
        // If a kept connection ends without an answer, curl repeats a request that has no body. A POST or PATCH must
        // not be sent twice, so one without a body gets a new connection. curl does not repeat a request with a body,
        // since it can't rewind the body.
        if request.body?.isEmpty ?? true, request.method == .post || request.method == .patch {
            try set(CURLOPT_FRESH_CONNECT, 1)
        }
    }

    func setCallbacks(_ transfer: Transfer) throws(HTTPFailure) {
        // The unretained pointer is safe, since `perform` keeps `transfer` alive until curl no longer uses it.
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
        try check(
            unsafe aegis_curl_set_prereq(
                handle,
                { context, _, _, _, _ in
                    unsafe Transfer.at(context).mayBeSent() ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT
                }, context))
    }

    /// Sets a pointer option. The pointer's memory must stay valid until the transfer is over.
    func set(_ option: CURLoption, pointer: UnsafeMutableRawPointer?) throws(HTTPFailure) {
        try check(unsafe aegis_curl_set_pointer(handle, option, pointer))
    }

    private func set(_ option: CURLoption, _ value: Int) throws(HTTPFailure) {
        try check(unsafe aegis_curl_set_number(handle, option, value))
    }

    private func set(_ option: CURLoption, _ value: String) throws(HTTPFailure) {
        // curl copies the text, so `value` need not outlive the call.
        try check(unsafe aegis_curl_set_text(handle, option, value))
    }

    private func check(_ code: CURLcode) throws(HTTPFailure) {
        // This is safe, since curl_easy_strerror returns a static text.
        guard code == CURLE_OK else {
            throw HTTPFailure("libcurl: \(unsafe String(cString: curl_easy_strerror(code)))", mayHaveArrived: false)
        }
    }
}

extension Transfer {
    /// The transfer behind the pointer that curl passes to a callback.
    fileprivate static func at(_ context: UnsafeMutableRawPointer?) -> Transfer {
        guard let context = unsafe context else { preconditionFailure("curl was given a transfer") }
        // This is safe: `setCallbacks` made the pointer from a Transfer, and `perform` keeps the Transfer alive until
        // curl no longer uses it.
        return unsafe Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    }
}

extension Duration {
    fileprivate var milliseconds: Int {
        Int(components.seconds) * 1000 + Int(components.attoseconds / 1_000_000_000_000_000)
    }
}
