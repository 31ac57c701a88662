import Remote

/// The result of searching a list in Cloudflare's API.
package struct CloudflareSearch<Found> {
    /// The element that was searched for. Nil only if the list certainly does not have it. If that is uncertain, the
    /// search throws.
    package let found: Found?
    /// A line for each element that can't be read.
    package let oddities: [String]

    package init(found: Found?, oddities: [String]) {
        self.found = found
        self.oddities = oddities
    }
}

extension CloudflareSearch: Sendable where Found: Sendable {}

/// An element of a list. If the element can't be read, `trace` may still show which certificate the element describes.
struct CloudflareListed<Element: Decodable>: Decodable {
    let element: Result<Element, RemoteJSON.Fault>
    let trace: CloudflareTrace

    init(from decoder: any Decoder) throws {
        element = ReadAttempt<Element>(from: decoder).result
        trace = (try? CloudflareTrace(from: decoder)) ?? CloudflareTrace()
    }
}

/// The members of an unreadable element that identify its certificate or pack. If all of them are missing, the search
/// treats the element as a different certificate.
struct CloudflareTrace: Decodable {
    /// The certificate request of an Origin CA certificate, in PEM.
    @IfReadable var csr: CloudflarePEM?
    /// The host names of an Origin CA certificate.
    @IfReadable var hostnames: [String]?
    /// The host names of a certificate pack.
    @IfReadable var hosts: [String]?

    init() {}

    /// Whether the element has exactly these host names, in any order.
    func isFor(_ names: [String]) -> Bool {
        guard let own = hostnames ?? hosts else { return false }
        return Set(own.map { $0.lowercased() }) == Set(names)
    }
}

extension CloudflareClient {
    /// The number of elements per page. Twenty certificates with 200 names each fit into 1 MiB, the largest answer that
    /// Aegis reads.
    private static let pageSize = 20
    /// The maximum number of pages that a search reads.
    private static let maximumPages = 500
    /// The maximum number of unreadable elements that a search reports.
    private static let maximumOddities = 10

    /// Searches a list page by page until `find` accepts an element. `path` must end in `?` or `&`.
    ///
    /// The search reports unreadable elements in `oddities` and continues. If it finds nothing, and `mayBe` returns
    /// true for an unreadable element, the search throws: the element may be the wanted one, and the caller would
    /// otherwise order a second certificate.
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
            // A server may put fewer elements on a page than requested. So if the answer has the total number of pages,
            // that number decides.
            let isLast = envelope.resultInfo?.totalPages.map { page >= $0.value } ?? (count < Self.pageSize)
            guard isLast else { continue }
            if let doubt {
                throw .malformed(thing, reason: "what is looked for may be in it: \(doubt)", status: 200, ray: nil)
            }
            return CloudflareSearch(found: nil, oddities: oddities)
        }
        throw .malformed(thing, reason: "it has more than \(Self.maximumPages) pages", status: 200, ray: nil)
    }
}
