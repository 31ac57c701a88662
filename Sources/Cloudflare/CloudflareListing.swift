import Remote

/// The result of searching one of Cloudflare's lists, some elements of which may be unreadable.
package struct CloudflareSearch<Found> {
    /// The element that was searched for; nil if the list certainly does not contain it.
    package let found: Found?
    /// A line for each element that can't be read.
    package let oddities: [String]

    package init(found: Found?, oddities: [String]) {
        self.found = found
        self.oddities = oddities
    }
}

extension CloudflareSearch: Sendable where Found: Sendable {}

/// An element of a list. If the element can't be read, `trace` may still tell which certificate or pack it is.
struct CloudflareListed<Element: Decodable>: Decodable {
    let element: Result<Element, RemoteJSON.Fault>
    let trace: CloudflareTrace

    init(from decoder: any Decoder) throws {
        element = ReadAttempt<Element>(from: decoder).result
        trace = (try? CloudflareTrace(from: decoder)) ?? CloudflareTrace()
    }
}

/// The members that tell whether an unreadable element may be the one searched for. An element without these members is
/// taken for another one.
struct CloudflareTrace: Decodable {
    /// A certificate's request.
    @IfReadable var csr: String?
    /// The names of a certificate.
    @IfReadable var hostnames: [String]?
    /// The names of a pack.
    @IfReadable var hosts: [String]?

    init() {}

    /// Whether the element is for these names, in any order.
    func isFor(_ names: [String]) -> Bool {
        guard let own = hostnames ?? hosts else { return false }
        return Set(own.map { $0.lowercased() }) == Set(names)
    }
}

extension CloudflareClient {
    /// The number of elements on each page. An answer of 1 MiB has room for that many certificates of 200 names each.
    private static let pageSize = 20
    /// The most pages that are read, which have 10,000 elements.
    private static let maximumPages = 500
    /// The most unreadable elements that are reported.
    private static let maximumOddities = 10

    /// Searches a list, page by page, until `find` accepts an element. `path` ends in `?` or `&`.
    ///
    /// An unreadable element is reported in a line, and the search goes on. If nothing is found and an unreadable
    /// element `mayBe` the one searched for, the search throws: ordering again could then order twice.
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
            // The total number of pages counts where it is given: a server may put fewer elements on a page than
            // requested.
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
