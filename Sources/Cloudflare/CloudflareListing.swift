import Remote

/// What came of a search through a list.
package struct CloudflareSearch<Found> {
    /// What was looked for; nil where it is not there, for sure.
    package let found: Found?
    /// Which elements can't be read, a line each.
    package let oddities: [String]

    package init(found: Found?, oddities: [String]) {
        self.found = found
        self.oddities = oddities
    }
}

extension CloudflareSearch: Sendable where Found: Sendable {}

/// An element of a list, and what it is about where it can't be read.
struct CloudflareListed<Element: Decodable>: Decodable {
    let element: Result<Element, RemoteJSON.Fault>
    let trace: CloudflareTrace

    init(from decoder: any Decoder) throws {
        element = ReadAttempt<Element>(from: decoder).result
        trace = (try? CloudflareTrace(from: decoder)) ?? CloudflareTrace()
    }
}

/// What tells whether an element that can't be read may be the one that is looked for. One that says nothing of that is none.
struct CloudflareTrace: Decodable {
    /// A certificate's request.
    @IfReadable var csr: String?
    /// The names of a certificate.
    @IfReadable var hostnames: [String]?
    /// The names of a pack.
    @IfReadable var hosts: [String]?

    init() {}

    /// Whether it is for these names, in whatever order.
    func isFor(_ names: [String]) -> Bool {
        guard let own = hostnames ?? hosts else { return false }
        return Set(own.map { $0.lowercased() }) == Set(names)
    }
}

extension CloudflareClient {
    /// The most elements that a page of a list has: certificates of 200 names each fit into an answer.
    private static let pageSize = 20
    /// The most pages that are read: 10,000 elements.
    private static let maximumPages = 500
    /// As many elements that can't be read are told of.
    private static let maximumOddities = 10

    /// Looks through a list, page by page, until an element is what is looked for. `path` ends in `?` or `&`.
    ///
    /// An element that can't be read keeps nobody from the others: it is told of, a line for each. Where nothing is found, one of those
    /// that `mayBe` what is looked for is an error: it must not be asked for twice.
    func search<Element: Decodable, Found>(
        _ path: String, of thing: String, mayBe: (CloudflareTrace) -> Bool = { _ in false },
        where find: (Element) -> Found?
    ) throws(CloudflareError) -> CloudflareSearch<Found> {
        var oddities: [String] = []
        var doubt: String?
        for page in 1...Self.maximumPages {
            let envelope: CloudflareEnvelope<ReadableList<CloudflareListed<Element>>> = try exchange(
                .get, "\(path)page=\(page)&per_page=\(Self.pageSize)", nil, thing
            ).envelope
            let nulls = Dictionary((envelope.result?.faults ?? []).map { ($0.place, $0.reason) }) { $1 }
            var elements = (envelope.result?.elements ?? []).makeIterator()
            let count = nulls.count + (envelope.result?.elements.count ?? 0)
            for place in 1..<count + 1 {
                let listed = nulls[place] == nil ? elements.next() : nil
                if case .success(let element)? = listed?.element {
                    if let found = find(element) { return CloudflareSearch(found: found, oddities: oddities) }
                    continue
                }
                var reason = nulls[place] ?? ""
                if case .failure(let fault)? = listed?.element { reason = fault.reason }
                let line =
                    "Cloudflare's \(thing) has an element that can't be read, number \(place) of page \(page): \(reason)"
                if oddities.count < Self.maximumOddities { oddities.append(line) }
                if let trace = listed?.trace, mayBe(trace) { doubt = doubt ?? line }
            }
            // Where the number of pages is told it counts: a server may give fewer elements a page than it is asked for.
            let isLast = envelope.resultInfo?.totalPages.map { page >= $0 } ?? (count < Self.pageSize)
            guard isLast else { continue }
            if let doubt {
                throw .malformed(thing, reason: "what is looked for may be in it: \(doubt)", status: 200, ray: nil)
            }
            return CloudflareSearch(found: nil, oddities: oddities)
        }
        throw .malformed(thing, reason: "it has more than \(Self.maximumPages) pages", status: 200, ray: nil)
    }
}
