import HTTPClient
import PKI

/// The reason why a call to Cloudflare failed. The description is one line for an operator.
package enum CloudflareError: Error, Sendable, Equatable {
    case refused(CloudflareRefusal)
    /// The answer's content is not as it should be. `status` tells whether Cloudflare has done what was asked.
    case malformed(String, reason: String, status: Int, ray: String?)
    case noAnswer(HTTPFailure)

    /// Whether Cloudflare may have done what was asked, although its answer does not say so.
    package var mayBeDone: Bool {
        switch self {
        case .refused: false
        case .malformed(_, _, let status, _): 200...299 ~= status
        case .noAnswer(let failure): failure.mayHaveArrived
        }
    }

    /// Whether Cloudflare says that the requested thing does not exist. A 404 from a proxy, or for a path that the API
    /// does not have, does not count: base_url may be wrong.
    package var isGone: Bool {
        guard case .refused(let refusal) = self else { return false }
        return (refusal.status == 404 || refusal.status == 410) && refusal.isAboutThing
    }

    /// Advice for the operator.
    package var hint: String? {
        switch self {
        case .refused(let refusal): refusal.hint
        case .malformed: "is base_url right?"
        case .noAnswer(let failure): failure.hint
        }
    }
}

extension CloudflareError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .refused(let refusal): "\(refusal)"
        case .malformed(let thing, let reason, let status, let ray):
            "Cloudflare's \(thing) can't be used (HTTP \(status)\(CloudflareRefusal.suffix(ray))): \(reason)"
        case .noAnswer(let failure): failure.reason
        }
    }
}

/// A refusal, as the envelope of an answer tells it (https://developers.cloudflare.com/fundamentals/api/reference/).
package struct CloudflareRefusal: Sendable, Equatable {
    /// An error in the envelope's `errors`.
    package struct Complaint: Sendable, Equatable {
        package let code: Int
        /// The text in one line, with the place in the request and the documentation's address where Cloudflare tells
        /// them.
        package let message: String

        package init(code: Int, message: String) {
            self.code = code
            self.message = message
        }
    }

    /// The error codes that Aegis treats specially.
    enum Code {
        static let authentication = 10000
        static let transient = 1100
        static let noCertificateManager = 1450
        /// The path or the zone does not exist.
        static let routing = [7000, 7003]
    }

    package let status: Int
    /// The errors; empty where the answer had no envelope.
    package let complaints: [Complaint]
    /// The CF-Ray field, which Cloudflare's support asks for.
    package let ray: String?
    /// How long Cloudflare wants Aegis to wait, in seconds.
    package let retryAfterSeconds: Int64?

    package init(status: Int, complaints: [Complaint], ray: String? = nil, retryAfterSeconds: Int64? = nil) {
        self.status = status
        self.complaints = complaints
        self.ray = ray
        self.retryAfterSeconds = retryAfterSeconds
    }

    /// Whether repeating the call soon may succeed.
    var isTransient: Bool { status == 429 || 500...599 ~= status || has(Code.transient) }

    /// Whether the API accepted the path, so that the errors concern the thing it names.
    var isAboutThing: Bool { !complaints.isEmpty && !complaints.contains { Code.routing.contains($0.code) } }

    /// Whether Cloudflare may have done what was asked in spite of this answer, which a proxy may have sent.
    var mayHideSuccess: Bool { 500...599 ~= status }

    var hint: String? {
        if complaints.isEmpty && status == 404 || complaints.contains(where: { Code.routing.contains($0.code) }) {
            return "are base_url and zone_id right?"
        }
        if has(Code.authentication) {
            return
                "the token needs the permission Zone, SSL and Certificates, Edit for this zone, and must not have expired"
        }
        if has(Code.noCertificateManager) {
            return "certificate packs need the zone to have Advanced Certificate Manager"
        }
        return nil
    }

    private func has(_ code: Int) -> Bool { complaints.contains { $0.code == code } }

    static func suffix(_ ray: String?) -> String { ray.map { ", CF-Ray \($0)" } ?? "" }
}

extension CloudflareRefusal: CustomStringConvertible {
    /// The refusal as one line.
    package var description: String {
        let words = complaints.map { "\($0.message) (code \($0.code))" }.joined(separator: "; ")
        let wait = retryAfterSeconds.map { "; try again in \($0) s" } ?? ""
        return "Cloudflare refuses (HTTP \(status)\(Self.suffix(ray)))" + (words.isEmpty ? "" : ": \(words)") + wait
    }
}
