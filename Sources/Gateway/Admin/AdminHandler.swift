/// Who answers on the admin listener.
struct AdminHandler: Sendable {
    /// Which hosts it answers as.
    let hosts: AdminHosts
    /// The answer to a path; nil where there is nothing.
    let answer: @Sendable (_ path: String) -> AdminAnswer?
}

/// An answer of the admin listener.
struct AdminAnswer: Sendable {
    var status = 200
    var type: AdminContentType = .text
    var body: [UInt8] = []
}

/// The kinds of content that the admin listener answers with.
enum AdminContentType: Sendable {
    case text, metrics
}
