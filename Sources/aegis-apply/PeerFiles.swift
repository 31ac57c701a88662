import ConfigModel
import Issuers
import PKI
import PrivateFiles
import Reconciler
import State
import SystemPackage

/// The result of checking a file by which peers are verified: certificates of CAs, or revocation lists.
enum TrustFile {
    case good
    /// The file does not exist here; a gateway on another machine may have it.
    case missing(IssuanceFailure)
    case bad(IssuanceFailure)

    var failure: IssuanceFailure? {
        switch self {
        case .good: nil
        case .missing(let failure), .bad(let failure): failure
        }
    }

    /// Reads and checks a file of CAs; `path` is relative to `directory`.
    static func read(_ path: String, in directory: FilePath) -> TrustFile {
        check(path, "the CAs", in: directory, atMost: PrivateFile.maxBytes) { (pem) throws(PKIError) in
            _ = try PeerRules(serversOf: pem)
        }
    }

    /// Reads and checks a file of revocation lists; `path` is relative to `directory`. A list in PEM is larger than in
    /// DER.
    static func readLists(_ path: String, in directory: FilePath) -> TrustFile {
        let limit = 2 * RevocationList.maximumBytes
        return check(path, "the revocation lists", in: directory, atMost: limit) { (bytes) throws(PKIError) in
            _ = try RevocationList.lists(in: bytes)
        }
    }

    private static func check(
        _ path: String, _ noun: String, in directory: FilePath, atMost limit: Int,
        _ parse: ([UInt8]) throws(PKIError) -> Void
    ) -> TrustFile {
        let place = SecretReader(directory: directory).resolve(path)
        let content: [UInt8]
        do {
            content = try PrivateFile.content(of: place, atMost: limit + 1).plainCopy()
        } catch {
            let failure = IssuanceFailure("\(noun) to trust: cannot read '\(path)': \(error)")
            return place.exists ? .bad(failure) : .missing(failure)
        }
        do throws(PKIError) {
            guard content.count <= limit else { throw .tooLarge("file", limit: "\(limit >> 20) MiB") }
            try parse(content)
            return .good
        } catch {
            return .bad(IssuanceFailure("\(noun) in '\(path)' can't be used: \(error)"))
        }
    }
}

/// Checks the files by which hosts verify their peers: CAs of upstreams and of clients, and revocation lists.
struct PeerFiles {
    /// The changed hosts that are refused, and why.
    private(set) var refused: [ItemID: IssuanceFailure] = [:]
    /// Errors and warnings, at the positions of the hosts that name the files.
    private(set) var errors: [Diagnostic] = []
    private(set) var warnings: [Diagnostic] = []
    private var known: [Wanted: TrustFile] = [:]
    /// What is wrong with a file of CAs and lists together, by their paths.
    private var together: [[String]: PKIError?] = [:]
    private let directory: FilePath

    /// A file that a host needs.
    private struct Wanted: Hashable {
        enum Use { case upstreams, clients, lists }
        let use: Use
        let path: String

        /// What the gateway does as long as it has no such file.
        var withoutIt: String {
            use == .upstreams
                ? "the gateway needs it: until it has it, these upstreams are not connected to"
                : "the gateway needs it: until it has it, this host is not served"
        }

        var key: String {
            switch use {
            case .upstreams: "upstream_tls.ca_file names certificates in PEM"
            case .clients: "client_auth.ca_file names certificates in PEM"
            case .lists: "client_auth.crl_files name revocation lists in PEM or DER"
            }
        }
    }

    init(_ plan: Plan, of configuration: Configuration, in file: ConfigurationFile) {
        directory = file.directory
        // The loop uses indices, since iterating would copy each of very many hosts.
        for index in configuration.hosts.indices {
            guard configuration.hosts[index].upstreamTLS != nil || configuration.hosts[index].clientAuth != nil else {
                continue
            }
            let host = configuration.hosts[index]
            for wanted in Self.files(of: host) { check(wanted, of: host) }
            if refused[ItemID(.host, host.domain.text)] == nil { checkTogether(host) }
        }
    }

    private static func files(of host: Host) -> [Wanted] {
        let upstreams = host.upstreams.contains(where: \.isTLS) ? host.upstreamTLS?.caFile : nil
        return [upstreams.map { Wanted(use: .upstreams, path: $0) }].compactMap(\.self)
            + [host.clientAuth?.caFile.map { Wanted(use: .clients, path: $0) }].compactMap(\.self)
            + (host.clientAuth?.revocationLists ?? []).map { Wanted(use: .lists, path: $0) }
    }

    private mutating func check(_ wanted: Wanted, of host: Host) {
        let content = known[wanted] ?? Self.read(wanted, in: directory)
        known[wanted] = content
        let name = host.domain.text
        switch content {
        case .good: break
        case .missing(let failure):
            warnings.append(
                .warning(at: host.origin, "host '\(name)': \(failure.reason)", hint: wanted.withoutIt))
        case .bad(let failure):
            // Of several, the first is the reason.
            guard refused[ItemID(.host, name)] == nil else { return }
            refused[ItemID(.host, name)] = IssuanceFailure(
                failure.reason, hint: "the host stays as it was; \(wanted.key)")
            errors.append(
                .error(at: host.origin, "host '\(name)' will be refused: \(failure.reason)", hint: wanted.key))
        }
    }

    /// Checks that a host's CAs have signed the lists in their name, and that there are not too many. Each file is good by
    /// itself; those that are not here are left out.
    private mutating func checkTogether(_ host: Host) {
        guard let settings = host.clientAuth, let caFile = settings.caFile, !settings.revocationLists.isEmpty else {
            return
        }
        let key = [caFile] + settings.revocationLists
        let fault = together[key] ?? .some(faultTogether(caFile, settings.revocationLists))
        together[key] = fault
        guard let fault = fault ?? nil else { return }
        let name = host.domain.text
        let reason = "the revocation lists don't fit the CAs in '\(caFile)': \(fault)"
        refused[ItemID(.host, name)] = IssuanceFailure(reason, hint: "the host stays as it was")
        errors.append(
            .error(
                at: host.origin, "host '\(name)' will be refused: \(reason)",
                hint: "client_auth.crl_files name lists of the CAs that ca_file names"))
    }

    private func faultTogether(_ caFile: String, _ lists: [String]) -> PKIError? {
        func bytes(_ path: String, _ limit: Int) -> [UInt8]? {
            let place = SecretReader(directory: directory).resolve(path)
            return try? PrivateFile.content(of: place, atMost: limit).plainCopy()
        }
        do throws(PKIError) {
            let authorities = try bytes(caFile, PrivateFile.maxBytes).map { (pem) throws(PKIError) in
                try PEM.certificates(in: pem)
            }
            guard let authorities else { return nil }
            var parsed: [RevocationList] = []
            for list in lists {
                guard let content = bytes(list, 2 * RevocationList.maximumBytes) else { continue }
                parsed += try RevocationList.lists(in: content)
            }
            _ = try PeerRules(purpose: .client, authorities: authorities, lists: parsed)
            return nil
        } catch {
            return error
        }
    }

    private static func read(_ wanted: Wanted, in directory: FilePath) -> TrustFile {
        wanted.use == .lists
            ? .readLists(wanted.path, in: directory) : .read(wanted.path, in: directory)
    }
}
