import HTTPClient
import PKI

/// Why Cloudflare did not do what it was asked. The description is one line for an operator.
package enum CloudflareError: Error, Sendable, Equatable {
    /// It refuses, in its own words.
    case refused(CloudflareRefusal)
    /// What it sent is not what it should be; `status` tells whether it has done what it was asked.
    case malformed(String, reason: String, status: Int, ray: String?)
    /// There was no answer.
    case noAnswer(HTTPFailure)

    /// Whether it may have done what it was asked although nobody was told so.
    package var mayBeDone: Bool {
        switch self {
        case .refused: false
        case .malformed(_, _, let status, _): 200...299 ~= status
        case .noAnswer(let failure): failure.mayHaveArrived
        }
    }

    /// Whether Cloudflare says that there is no such thing as was asked about. A page of somebody in between does not, nor does
    /// an API that has no such path: base_url may be wrong.
    package var isGone: Bool {
        guard case .refused(let refusal) = self else { return false }
        return (refusal.status == 404 || refusal.status == 410) && refusal.isAboutThing
    }

    /// What to do about it.
    package var hint: String? {
        switch self {
        case .refused(let refusal): refusal.hint
        case .malformed: "is base_url right?"
        case .noAnswer(let failure): failure.hint
        }
    }
}

extension CloudflareError: CustomStringConvertible {
    /// The error as one line for an operator.
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
    /// One complaint.
    package struct Complaint: Sendable, Equatable {
        /// Its number.
        package let code: Int
        /// What it says, in one line, with the place in the request and the address of the documentation where it tells them.
        package let message: String

        /// A complaint.
        package init(code: Int, message: String) {
            self.code = code
            self.message = message
        }
    }

    /// The numbers that mean something to us.
    enum Code {
        static let authentication = 10000
        static let transient = 1100
        static let noCertificateManager = 1450
        /// There is no such path, or no such zone.
        static let routing = [7000, 7003]
    }

    /// The status code.
    package let status: Int
    /// What it complains of; empty where the answer was no envelope.
    package let complaints: [Complaint]
    /// What Cloudflare's support asks for: the CF-Ray field.
    package let ray: String?
    /// How long to leave it alone, in seconds.
    package let retryAfterSeconds: Int64?

    /// A refusal.
    package init(status: Int, complaints: [Complaint], ray: String? = nil, retryAfterSeconds: Int64? = nil) {
        self.status = status
        self.complaints = complaints
        self.ray = ray
        self.retryAfterSeconds = retryAfterSeconds
    }

    /// Whether it is worth asking again soon.
    var isTransient: Bool { status == 429 || 500...599 ~= status || has(Code.transient) }

    /// Whether the path was understood, and it is the thing at its end that is complained of.
    var isAboutThing: Bool { !complaints.isEmpty && !complaints.contains { Code.routing.contains($0.code) } }

    /// Whether what was asked may have been done all the same: who answers for a server that did not.
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
