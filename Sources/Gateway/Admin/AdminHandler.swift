/// Answers the requests of the admin listener.
struct AdminHandler: Sendable {
    /// The hosts that requests may name.
    let hosts: AdminHosts
    /// Returns the answer for a path; nil for a path without an endpoint.
    let answer: @Sendable (_ path: String) -> AdminAnswer?
}

/// An answer of the admin listener, before it is written as HTTP.
struct AdminAnswer: Sendable {
    var status = 200
    var type: AdminContentType = .text
    var body: [UInt8] = []
}

/// The content types of the admin listener's answers.
enum AdminContentType: Sendable {
    case text, metrics
}
