import ACME

/// An order as the CA shows it. What it leaves out later is taken from what it has told before, and whatever is odd is noted.
struct OrderView {
    let client: ACMEClient
    private let url: ACMEURL
    /// The answer to the order's placing, which is the first look at it.
    private var placed: ACMEOrder?
    /// Whether it was placed just now: then not all of the CA's servers may know it yet.
    private let isNew: Bool
    private var known: ACMEOrder?
    /// What was odd, a line each, to stand behind the certificate's name.
    private(set) var oddities: [String] = []

    init(client: ACMEClient, url: ACMEURL, placed: ACMEOrder?) {
        self.client = client
        self.url = url
        self.placed = placed
        isNew = placed != nil
    }

    /// The order as it is now; also its authorizations while these matter.
    mutating func look() throws -> (ACMEOrder, [ACMEAuthorization]) {
        let (client, url) = (client, url)
        let seen = try placed ?? ask("order") { try client.order(at: url) }
        placed = nil
        let order = seen.completed(by: known)
        known = order
        if !seen.unusable.isEmpty {
            let members = seen.unusable.map { "'\($0)'" }.joined(separator: ", ")
            note("the CA's order has no \(members) that can be used")
        }
        if seen.status == .valid, seen.certificate == nil {
            note("the CA's order was valid before it said where the certificate is")
        }
        guard [.pending, .invalid].contains(order.status) else { return (order, []) }
        var authorizations: [ACMEAuthorization] = []
        for url in order.authorizations {
            authorizations.append(try ask("authorization") { try client.authorization(at: url) })
        }
        return (order, authorizations)
    }

    /// Notes what was odd, if anything was.
    mutating func note(_ oddity: String?) {
        guard let oddity else { return }
        let line = "was issued, though \(oddity)"
        if !oddities.contains(line) { oddities.append(line) }
    }

    private mutating func ask<Result>(_ thing: String, _ ask: () throws -> Result) throws -> Result {
        guard isNew else { return try ask() }
        let (result, wasLate) = try client.whenThere(ask)
        if wasLate { note("the CA's \(thing) was not there at first") }
        return result
    }
}
