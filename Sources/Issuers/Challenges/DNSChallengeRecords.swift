import ConfigModel
import DNS
import HTTPClient
import PKI
import Synchronization

/// Writes and removes the TXT records that answer dns-01 challenges (RFC 8555 section 8.4), and waits until they are
/// visible in the DNS.
///
/// A name may need several values at once, for example for a wildcard and its parent. Each value is written and removed
/// on its own. If the server did not answer a write, the value is not removed, since the server would probably not
/// answer again and a leftover record is harmless.
final class DNSChallengeRecords: Sendable {
    private enum Writer {
        case nameServer(DNSUpdater, DNSServer)
        case webhook(HTTPClient, url: String, authorization: SecretField?, SecretMask)
    }

    private static let timeToLive: UInt32 = 60
    /// The maximum length of a webhook's error message in a failure, in characters.
    private static let complaintCharacters = 200
    /// The maximum length of a webhook's answer in which secrets are hidden, in bytes. The rest is dropped.
    private static let complaintBytes = 16 << 10

    /// The time limit of a webhook for removing a value. It is short, since the issued certificate waits for the
    /// removal.
    private static let cleanupTimeout = Duration.seconds(10)

    private let writer: Writer
    private let isUnanswered = Mutex(false)
    private let propagation: DNSPropagation

    /// Prepares the declared DNS provider and reads its secrets.
    ///
    /// - Parameters:
    ///   - now: Returns seconds since 1970.
    ///   - wait: Blocks the calling thread for a time.
    ///   - system: Looks up names with the system's resolver.
    ///   - port: The port of the zone's name servers.
    init(
        _ provider: DNSProvider, secrets: SecretReader, now: @escaping @Sendable () -> Int64,
        wait: @escaping @Sendable (Duration) -> Void = Pause.wait,
        system: DNSLookup = DNSLookup(timeout: .seconds(3)), port: UInt16 = DNSServer.defaultPort
    ) throws(IssuanceFailure) {
        let primary: DNSPropagation.Primary?
        let waiting: DNSProvider.PropagationWait
        switch provider.method {
        case .rfc2136(let settings):
            let server = try Self.dns { () throws(DNSFailure) in try DNSServer(settings.server) }
            let key = try settings.tsig.map { (key) throws(IssuanceFailure) in try Self.key(key, secrets) }
            let updater = try Self.dns { () throws(DNSFailure) in
                try DNSUpdater(server: server, zone: settings.zone, key: key)
            }
            writer = .nameServer(updater, server)
            primary = DNSPropagation.Primary(server: server, zone: settings.zone)
            waiting = settings.waiting
        case .webhook(let settings):
            let token = try settings.token.map { (token) throws(IssuanceFailure) in try secrets.readLine(token) }
            let client = try Self.http { () throws(HTTPFailure) in
                try HTTPClient(userAgent: "aegis", plainHTTP: .thisMachine)
            }
            writer = .webhook(
                client, url: settings.url.text, authorization: token.map(SecretField.bearer),
                SecretMask([token].compactMap(\.self)))
            primary = nil
            waiting = settings.waiting
        }
        propagation = DNSPropagation(waiting, primary: primary, now: now, wait: wait, system: system, port: port)
    }

    /// Writes a value at a name such as "_acme-challenge.example.com".
    func present(name: String, value: String) throws(IssuanceFailure) {
        try write("present", name, value) { (updater) throws(DNSFailure) in
            try updater.add(txt: value, at: name, timeToLive: Self.timeToLive)
        }
    }

    /// Removes only this value at the name. Does nothing if the latest failed call to the name server, or any call to
    /// the webhook, got no answer.
    func cleanup(name: String, value: String) throws(IssuanceFailure) {
        guard !isUnanswered.withLock({ $0 }) else { return }
        try write("cleanup", name, value) { (updater) throws(DNSFailure) in try updater.remove(txt: value, at: name) }
    }

    /// Waits until the value is visible at the `resolvers` in aegis.yaml, or else at each name server of the zone.
    /// Throws if that takes longer than `propagation_timeout`.
    func awaitPropagation(name: String, value: String) throws(IssuanceFailure) {
        try propagation.await(name: name, value: value)
    }

    private func write(
        _ action: String, _ name: String, _ value: String, update: (DNSUpdater) throws(DNSFailure) -> Void
    ) throws(IssuanceFailure) {
        switch writer {
        case .nameServer(let updater, let server):
            try Self.dns { () throws(DNSFailure) in
                do throws(DNSFailure) {
                    try WaitNote.during("the name server \(server) has not answered yet") { () throws(DNSFailure) in
                        try update(updater)
                    }
                } catch {
                    isUnanswered.withLock { $0 = error.isUnanswered }
                    throw error
                }
            }
        case .webhook(let client, let url, let authorization, let mask):
            let body = PlainValue.map([
                ("action", .string(action)), ("name", .string(name)), ("value", .string(value)),
            ])
            var request = HTTPRequest(
                .post, url, fields: [HTTPField("Content-Type", "application/json")], authorization: authorization,
                body: body.json())
            if action == "cleanup" { request.timeout = Self.cleanupTimeout }
            let response: HTTPResponse
            do throws(HTTPFailure) {
                response = try WaitNote.during("the DNS webhook at \(Self.host(of: url)) has not answered yet") {
                    () throws(HTTPFailure) in try client.send(request)
                }
            } catch {
                isUnanswered.withLock { $0 = true }
                throw IssuanceFailure("the webhook for \(action): \(error.reason)", hint: error.hint)
            }
            guard (200...299).contains(response.status) else {
                // Secrets are hidden before the text is cut. Otherwise a cut secret might not be recognized.
                let complaint = Self.line(mask.hiding(in: Array(response.body.prefix(Self.complaintBytes))))
                throw IssuanceFailure(
                    "the webhook answered \(action) with \(response.status)\(complaint.isEmpty ? "" : ": ")\(complaint)"
                )
            }
        }
    }

    /// The host of a URL, with the port if there is one. The rest of a webhook's URL may have a secret in it.
    private static func host(of url: String) -> Substring { url.split(separator: "/").dropFirst().first ?? "" }

    /// The start of an answer's body as one line.
    private static func line(_ body: [UInt8]) -> String {
        let text = String(decoding: body.prefix(4 * complaintCharacters), as: UTF8.self)
        let words = text.split { character in
            character.isWhitespace || character.unicodeScalars.contains { $0.properties.generalCategory == .control }
        }
        return String(words.joined(separator: " ").prefix(complaintCharacters))
    }

    private static func key(_ key: TSIGKey, _ secrets: SecretReader) throws(IssuanceFailure) -> DNSUpdateKey {
        let algorithm: DNSUpdateKey.Algorithm =
            switch key.algorithm {
            case .sha256: .sha256
            case .sha384: .sha384
            case .sha512: .sha512
            }
        let secret = try secrets.read(key.secret)
        return try dns { () throws(DNSFailure) in
            try DNSUpdateKey(name: key.name, algorithm: algorithm, secret: secret)
        }
    }

    /// Runs `work`, and converts its DNSFailure to an IssuanceFailure.
    private static func dns<Result>(_ work: () throws(DNSFailure) -> Result) throws(IssuanceFailure) -> Result {
        do throws(DNSFailure) {
            return try work()
        } catch {
            throw IssuanceFailure(error.reason, hint: error.hint)
        }
    }

    /// Runs `work`, and converts its HTTPFailure to an IssuanceFailure.
    private static func http<Result>(_ work: () throws(HTTPFailure) -> Result) throws(IssuanceFailure) -> Result {
        do throws(HTTPFailure) {
            return try work()
        } catch {
            throw IssuanceFailure(error.reason, hint: error.hint)
        }
    }
}
