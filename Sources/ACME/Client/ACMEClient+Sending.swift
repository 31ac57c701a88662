import PKI
import Remote

extension ACMEClient {
    /// The empty body of a POST-as-GET request (RFC 8555 section 6.3).
    static let asGet: [UInt8] = []
    /// How many nonces the CA may reject for one request. The test CA Pebble can reject half of the valid nonces on
    /// purpose.
    private static let maximumNonceTries = 20

    /// The signer of a POST request.
    enum Author {
        case account
        /// The account's key. Used until the account's URL is known.
        case accountKey
        /// Another key, such as a certificate's key.
        case key(PrivateKey)
    }

    /// Sends a GET or HEAD request, which needs no signature.
    func fetch(_ method: ACMEHTTPRequest.Method, _ url: ACMEURL, accept: String? = nil) throws -> ACMEHTTPResponse {
        let request = ACMEHTTPRequest(method: method, url: url, body: [], accept: accept)
        var backoff = Backoff(budget: patience)
        while true {
            if let response = try attempt(request, isRepeatable: true, &backoff) { return try succeeded(response) }
        }
    }

    /// Sends a signed request. With `isSentOnce`, the request is sent only once, unless the CA refuses its nonce. With
    /// `isWish`, it is also sent only once, and with a shorter time limit.
    func post(
        _ payload: [UInt8], to url: ACMEURL, by author: Author = .account, accept: String? = nil,
        isRepeatable: Bool = true, isSentOnce: Bool = false, isWish: Bool = false
    ) throws -> ACMEHTTPResponse {
        var backoff = Backoff(budget: isSentOnce || isWish ? .zero : patience)
        var refusedNonces = 0
        var fresh: String?
        while true {
            let nonce = try fresh ?? self.nonce()
            fresh = nil
            let body = try RemoteJSON.encode(signed(payload, to: url, by: author, nonce: nonce))
            let request = ACMEHTTPRequest(method: .post, url: url, body: body, accept: accept, isWish: isWish)
            guard let response = try attempt(request, isRepeatable: isRepeatable, &backoff) else { continue }
            if response.status == 400, refusedNonces < Self.maximumNonceTries,
                ACMEProblem(of: response).kind == "badNonce"
            {
                refusedNonces += 1
                // The CA has just sent this nonce, so it is fresh.
                fresh = response.nonce
                continue
            }
            if let nonce = response.nonce { state.withLock { $0.nonces.keep(nonce) } }
            return try succeeded(response)
        }
    }

    func read(_ url: ACMEURL, accept: String? = nil, isWish: Bool = false) throws -> ACMEHTTPResponse {
        try post(Self.asGet, to: url, accept: accept, isWish: isWish)
    }

    /// Repeats `ask` for about a minute if the CA does not know a resource that it has announced. The CA may have
    /// several servers, and some learn of the resource later. The CA's Retry-After decides the delays.
    ///
    /// - Parameter evenIfRefused: Whether `ask` is also repeated after refusals that look lasting
    ///   (`ACMEError.isLasting`).
    /// - Returns: The result, and whether the first try failed.
    package func retryingUntilKnown<Result>(
        evenIfRefused: Bool = false, _ ask: () throws -> Result
    ) throws -> (result: Result, wasLate: Bool) {
        var backoff = Backoff(budget: patience)
        var wasLate = false
        while true {
            do {
                return (try ask(), wasLate)
            } catch let error as ACMEError
                where error.isGone || error.isNotYet || evenIfRefused && error.isLasting
            {
                guard let delay = backoff.delay(retryAfter: error.retryAfter) else { throw error }
                wasLate = true
                try wait(delay, Self.cause(error))
            }
        }
    }

    func retryAfter(_ response: ACMEHTTPResponse) -> Duration? {
        RemoteTime.retryAfter(response.retryAfter, now: now())
    }

    private func signed(_ payload: [UInt8], to url: ACMEURL, by author: Author, nonce: String) throws(ACMEError) -> JWS
    {
        let (key, account) = state.withLock { ($0.key, $0.account) }
        switch author {
        case .account:
            guard let account else { throw .noAccount }
            return try JWS(payload, to: url, nonce: nonce, key: key, signer: .account(account))
        case .accountKey: return try JWS(payload, to: url, nonce: nonce, key: key, signer: .key)
        case .key(let key): return try JWS(payload, to: url, nonce: nonce, key: key, signer: .key)
        }
    }

    private func nonce() throws -> String {
        if let kept = state.withLock({ $0.nonces.removeYoungest() }) { return kept }
        let response = try fetch(.head, directory().newNonce)
        guard let nonce = response.nonce else {
            let reason = response.replayNonce.map { "its nonce '\($0.oneLine(limit: 60))' is not base64url" }
            throw ACMEError.malformed("answer from newNonce", reason: reason ?? "it has no nonce")
        }
        return nonce
    }

    /// Sends a request once. If the request should be sent again, waits for the delay and returns nil.
    private func attempt(
        _ request: ACMEHTTPRequest, isRepeatable: Bool, _ backoff: inout Backoff
    ) throws -> ACMEHTTPResponse? {
        let response: ACMEHTTPResponse
        let begun = now()
        do {
            response = try edge.send(request)
        } catch let error as any ACMEEdgeError where error.isTransient && (isRepeatable || !error.mayHaveArrived) {
            backoff.note(.seconds(now() - begun))
            guard let delay = backoff.delay(retryAfter: nil) else { throw error }
            try wait(delay, Self.cause(error))
            return nil
        }
        backoff.note(.seconds(now() - begun))
        // With 429 or 5xx the CA did nothing. So even a request that the CA must not carry out twice can be sent again.
        guard response.status == 429 || 500...599 ~= response.status,
            let delay = backoff.delay(retryAfter: retryAfter(response))
        else { return response }
        if let nonce = response.nonce { state.withLock { $0.nonces.keep(nonce) } }
        try wait(delay, "HTTP \(response.status)")
        return nil
    }

    /// Why a request must be repeated, without the CA's own words, which may quote secrets.
    static func cause(_ error: any Error) -> String {
        switch error {
        case ACMEError.refused(_, let status, _): "HTTP \(status)"
        case is any ACMEEdgeError: "\(error)"
        default: "it is not there yet"
        }
    }

    private func succeeded(_ response: ACMEHTTPResponse) throws(ACMEError) -> ACMEHTTPResponse {
        guard 200...299 ~= response.status else {
            throw .refused(ACMEProblem(of: response), status: response.status, retryAfter: retryAfter(response))
        }
        return response
    }
}
