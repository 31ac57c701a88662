import HTTPClient
import PKI

/// The reason why a call to Cloudflare failed. Its description is one line for the operator.
package enum CloudflareError: Error, Sendable, Equatable {
    case refused(CloudflareRefusal)
    /// The answer can't be read. If `status` is 2xx, Cloudflare has nevertheless done what the call requested.
    case malformed(String, reason: String, status: Int, ray: String?)
    case noAnswer(HTTPFailure)

    /// Whether Cloudflare may have done what the call requested.
    package var mayBeDone: Bool {
        switch self {
        case .refused(let refusal): refusal.leavesDoubt
        case .malformed(_, _, let status, _): 200...299 ~= status
        case .noAnswer(let failure): failure.mayHaveArrived
        }
    }

    /// Whether Cloudflare says that the requested object does not exist. A 404 from a proxy or for an unknown path does
    /// not count, since it can also come from a wrong base_url.
    package var isGone: Bool {
        guard case .refused(let refusal) = self else { return false }
        return (refusal.status == 404 || refusal.status == 410) && refusal.isAboutThing
    }

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

/// An answer that refuses a call (https://developers.cloudflare.com/fundamentals/api/reference/).
package struct CloudflareRefusal: Sendable, Equatable {
    /// An element of the envelope's `errors`.
    package struct Complaint: Sendable, Equatable {
        package let code: Int
        /// Cloudflare's text in one line. If Cloudflare names a place in the request or a documentation page, the line
        /// includes them.
        package let message: String

        package init(code: Int, message: String) {
            self.code = code
            self.message = message
        }
    }

    enum Code {
        static let authentication = 10000
        static let transient = 1100
        static let noCertificateManager = 1450
        /// Cloudflare does not know the path or the zone.
        static let routing = [7000, 7003]
    }

    package let status: Int
    /// The errors. Empty if the answer has no envelope.
    package let complaints: [Complaint]
    /// The field CF-Ray, by which Cloudflare's support finds a call.
    package let ray: String?
    /// The delay that the field Retry-After asks for, in seconds.
    package let retryAfterSeconds: Int64?

    package init(status: Int, complaints: [Complaint], ray: String? = nil, retryAfterSeconds: Int64? = nil) {
        self.status = status
        self.complaints = complaints
        self.ray = ray
        self.retryAfterSeconds = retryAfterSeconds
    }

    /// Whether the same call may succeed soon.
    var isTransient: Bool { status == 429 || 500...599 ~= status || has(Code.transient) }

    /// Whether the API accepted the path. If so, the errors are about the object that the path names.
    var isAboutThing: Bool { !complaints.isEmpty && !complaints.contains { Code.routing.contains($0.code) } }

    /// Whether to search for an object that the call may have made nevertheless. A proxy sends a 5xx if it loses
    /// Cloudflare's answer.
    var mayHideSuccess: Bool { 500...599 ~= status }

    /// Whether Cloudflare may have done what the call requested. Refusals of the API itself have errors, so a 5xx
    /// without errors comes from a proxy. If it is 503, the proxy did not pass the call on (RFC 9110 section 15.6.4).
    var leavesDoubt: Bool { mayHideSuccess && complaints.isEmpty && status != 503 }

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
    package var description: String {
        let words = complaints.map { "\($0.message) (code \($0.code))" }.joined(separator: "; ")
        let wait = retryAfterSeconds.map { "; try again in \($0) s" } ?? ""
        return "Cloudflare refuses (HTTP \(status)\(Self.suffix(ray)))" + (words.isEmpty ? "" : ": \(words)") + wait
    }
}
