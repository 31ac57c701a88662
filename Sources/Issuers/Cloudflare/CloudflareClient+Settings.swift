import Cloudflare
import ConfigModel
import Glibc
import HTTPClient
import PKI
import State

extension CloudflareClient {
    init(_ settings: CloudflareOriginIssuer, secrets: SecretReader, patience: Duration = .seconds(60))
        throws(IssuanceFailure)
    {
        let (secret, field): (SecretBytes, (SecretBytes) -> SecretField)
        switch settings.authMethod {
        case .apiToken:
            guard let token = settings.apiToken else { throw IssuanceFailure("the issuer has no 'api_token'") }
            (secret, field) = (try secrets.readLine(token), SecretField.bearer)
        case .originCAKey:
            guard let key = settings.originCAKey else { throw IssuanceFailure("the issuer has no 'origin_ca_key'") }
            (secret, field) = (try secrets.readLine(key), { SecretField("X-Auth-User-Service-Key", $0) })
        }
        try self.init(settings.baseURL, settings.caFile, secret, field, secrets, patience)
    }

    init(_ settings: EdgeCertificate, secrets: SecretReader, patience: Duration = .seconds(60)) throws(IssuanceFailure)
    {
        let token = try secrets.readLine(settings.apiToken)
        try self.init(settings.baseURL, settings.caFile, token, SecretField.bearer, secrets, patience)
    }

    private init(
        _ url: ServiceURL, _ caFile: String?, _ secret: SecretBytes, _ field: (SecretBytes) -> SecretField,
        _ secrets: SecretReader, _ patience: Duration
    ) throws(IssuanceFailure) {
        let client: HTTPClient
        do throws(HTTPFailure) {
            let trust: HTTPClient.Trust = caFile.map { .authoritiesFile(secrets.resolve($0).string) } ?? .system
            client = try HTTPClient(trust: trust, userAgent: "aegis")
        } catch {
            throw IssuanceFailure(error.reason, hint: error.hint)
        }
        let mask = SecretMask([secret])
        self.init(
            baseURL: url.trimmed, credential: field(secret),
            transport: { (request) throws(HTTPFailure) in
                let answer = try WaitNote.during("no answer yet") { () throws(HTTPFailure) in try client.send(request) }
                return HTTPResponse(
                    status: answer.status, fields: answer.fields, body: mask.hiding(in: answer.body))
            }, wait: WaitNote.beforeRepeating(to: "Cloudflare"),
            now: { Int64(time(nil)) }, patience: patience)
    }
}

extension ServiceURL {
    /// The URL without slashes at the end.
    var trimmed: String { String(text.reversed().drop { $0 == "/" }.reversed()) }
}

extension IssuanceFailure {
    /// Converts an error of a Cloudflare operation. `now` is in seconds since 1970.
    init(of error: any Error, now: Int64) {
        switch error {
        case let failure as IssuanceFailure: self = failure
        case let error as CloudflareError: self.init(error, now: now)
        default: self.init("\(error)")
        }
    }

    /// Converts an error of Cloudflare's API. `now` is in seconds since 1970.
    init(_ error: CloudflareError, now: Int64) {
        var notBefore: Int64?
        if case .refused(let refusal) = error { notBefore = refusal.retryAfterSeconds.map { now + $0 } }
        let until = notBefore.map { "; not before \(UTCTime.text($0))" } ?? ""
        self.init("\(error)\(until)", hint: error.hint, notBefore: notBefore)
    }
}
