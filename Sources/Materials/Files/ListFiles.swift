import PKI

/// The revocation lists in watched files. A large list takes long to parse, so the caller lets another thread parse
/// each `Request`, and passes the result to `put`. Until then the file's former lists are used. Only one thread may use
/// this type.
package struct ListFiles: Sendable {
    /// A file's content that must be parsed.
    package struct Request: Sendable {
        package let path: String
        fileprivate let version: Int
        private let content: SecretBytes

        fileprivate init(_ path: String, _ version: Int, _ content: SecretBytes) {
            (self.path, self.version, self.content) = (path, version, content)
        }

        /// Parses the content. Any thread may call this.
        package func read() -> Reading {
            let result = Result { () throws(PKIError) in try RevocationList.lists(in: content.plainCopy()) }
            return Reading(path: path, version: version, result: result)
        }
    }

    /// The lists in a file's content, or why they can't be used.
    package struct Reading: Sendable {
        package let path: String
        fileprivate let version: Int
        fileprivate let result: Result<[RevocationList], PKIError>
    }

    /// A file's lists are being parsed for the first time, so there are none yet.
    package struct Pending: Error {}

    private struct Entry {
        /// The version of the content in the last request.
        var asked: Int
        /// The version of the content that was last parsed; 0 if none was.
        var parsed = 0
        /// The last lists that can be used; nil if there were none yet.
        var lists: [RevocationList]?
        /// Why the content that was last parsed can't be used; nil if it can.
        var fault: PKIError?
    }

    private var entries: [String: Entry] = [:]
    private var requests: [Request] = []

    package init() {}

    /// Whether the first content of a file is still being parsed.
    package var isPending: Bool { entries.values.contains { $0.parsed == 0 } }

    /// The earliest next update among each file's lists, in seconds since 1970, by path. A list is overdue from its
    /// next update on.
    package var nextUpdates: [String: Int64] {
        entries.compactMapValues { $0.lists?.compactMap(\.nextUpdate).min() }
    }

    /// The last lists of a file that can be used. For a new version, adds a request to parse the content.
    ///
    /// - Parameters:
    ///   - version: The version of the content; more than 0.
    ///   - content: The file's content.
    /// - Throws: If there were none yet: `Pending`, or a `PKIError` if the content can't be used.
    package mutating func lists(in path: String, version: Int, _ content: SecretBytes) throws -> [RevocationList] {
        if entries[path]?.asked != version {
            entries[path, default: Entry(asked: version)].asked = version
            requests.append(Request(path, version, content))
        }
        if let lists = entries[path]?.lists { return lists }
        throw entries[path]?.fault ?? Pending()
    }

    /// Why the content that was last parsed can't be used; nil if it can.
    package func fault(of path: String) -> PKIError? { entries[path]?.fault }

    /// Returns the requests since the last call.
    package mutating func takeRequests() -> [Request] {
        defer { requests = [] }
        return requests
    }

    /// Stores the result of parsing a file's content.
    ///
    /// - Returns: Whether the file's lists may have changed.
    package mutating func put(_ reading: Reading) -> Bool {
        guard var entry = entries[reading.path], reading.version > entry.parsed else { return false }
        entry.parsed = reading.version
        switch reading.result {
        case .success(let lists): (entry.lists, entry.fault) = (lists, nil)
        case .failure(let fault): entry.fault = fault
        }
        entries[reading.path] = entry
        return true
    }

    package mutating func forget(_ path: String) { entries[path] = nil }
}
