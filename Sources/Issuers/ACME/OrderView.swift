import ACME

/// An order as the CA shows it. If an answer leaves out members, those of earlier answers are used.
struct OrderView {
    let client: ACMEClient
    private let url: ACMEURL
    /// The CA's answer when the order was placed. The first call of `look` uses it instead of reading the order.
    private var placed: ACMEPlacedOrder?
    private let names: [ACMEIdentifier]
    /// Whether the order is new. Some of the CA's servers may not know a new order yet.
    private let isNew: Bool
    private var known: ACMEOrder?
    /// The order in the answer to the certificate request, if it has the certificate's URL. It is used if the order
    /// can't be read at its own URL.
    var issued: ACMEOrder?
    /// A line for each oddity in the CA's answers. Messages put the certificate's name before the line.
    private(set) var oddities: [String] = []

    init(client: ACMEClient, url: ACMEURL, placed: ACMEPlacedOrder?, of names: [ACMEIdentifier]) {
        self.client = client
        self.names = names
        self.url = url
        self.placed = placed
        isNew = placed != nil
    }

    /// Reads the order. If the order is pending or invalid, reads its authorizations too.
    mutating func look() throws -> (ACMEOrder, [ACMEAuthorization]) {
        let client = client
        if case .failure(let error)? = placed?.answer { note("\(error)") }
        let seen = try (try? placed?.answer.get()) ?? read()
        placed = nil
        let order = seen.completed(by: known)
        known = order
        seen.oddities.forEach { note($0) }
        if seen.status == .valid, seen.certificate == nil {
            note("the CA's order was valid before it said where the certificate is")
        }
        guard [.pending, .invalid].contains(order.status) else { return (order, []) }
        var authorizations: [ACMEAuthorization] = []
        for url in order.authorizations {
            authorizations.append(try ask("authorization") { try client.authorization(at: url) })
        }
        authorizations.flatMap(\.oddities).forEach { note($0) }
        return (order, try named(authorizations))
    }

    private mutating func read() throws -> ACMEOrder {
        let (client, url) = (client, url)
        do {
            return try ask("order") { try client.order(at: url) }
        } catch {
            guard let issued else { throw error }
            note("the CA's order can't be read at '\(url)': \(error)")
            return issued
        }
    }

    /// Adds a missing name to the authorizations. If exactly one authorization has no name, and exactly one ordered
    /// name has no authorization, they belong together.
    private func named(_ authorizations: [ACMEAuthorization]) throws(ACMEError) -> [ACMEAuthorization] {
        guard let nameless = authorizations.firstIndex(where: { $0.identifier == nil }) else { return authorizations }
        let known = Set(authorizations.filter { $0.identifier != nil }.map(\.name))
        let left = names.filter { !known.contains($0.text) }
        guard left.count == 1, known.count == authorizations.count - 1 else {
            throw .malformed("authorization", reason: "it does not say which name it is for: 'identifier' is missing")
        }
        var named = authorizations
        named[nameless].setName(left[0])
        return named
    }

    /// Adds a line to `oddities`, unless it is nil or already there.
    mutating func note(_ oddity: String?) {
        guard let oddity else { return }
        let line = "was issued, though \(oddity)"
        if !oddities.contains(line) { oddities.append(line) }
    }

    private mutating func ask<Result>(_ thing: String, _ ask: () throws -> Result) throws -> Result {
        guard isNew else { return try ask() }
        let (result, wasLate) = try client.retryingUntilKnown(ask)
        if wasLate { note("the CA's \(thing) was not there at first") }
        return result
    }
}
