import ConfigModel
import Gateway
import Issuers
import Operations
import PKI
import PrivateFiles
import Reconciler
import State
import SystemPackage

/// The result of checking a file for verifying peers: certificates of CAs, or revocation lists.
enum TrustFile {
    case good
    /// The file does not exist on this machine. A gateway on another machine may have it.
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

/// Checks the files for verifying peers: CAs of upstreams and of clients, and revocation lists.
struct PeerFiles {
    /// The hosts that an apply refuses, and why.
    private(set) var refused: [ItemID: IssuanceFailure] = [:]
    /// Errors and warnings, at the positions of the hosts that name the files.
    private(set) var errors: [Diagnostic] = []
    private(set) var warnings: [Diagnostic] = []
    private var known: [Wanted: TrustFile] = [:]
    /// The results of checking a CA file together with revocation lists, by their paths.
    private var together: [[String]: Together] = [:]
    /// Why the CAs of a file accept no certificate, by `allow_expired` and path; nil if they accept some.
    private var useless: [String: String?] = [:]
    /// The identities as this machine reads them, by name.
    private var loadedIdentities: [String: LoadedIdentity] = [:]
    private let directory: FilePath
    private let identities: [String: NamedIdentity]
    /// The hosts that change, as the state has them; nil for new ones.
    private let changed: [ItemID: Host?]
    private let now = currentTime()

    /// The result of checking a CA file together with revocation lists.
    private struct Together {
        /// Why the files can't be used together; nil if they can.
        var fault: PKIError?
        /// Facts about the lists for warnings: overdue lists, and issuers that are not among the CAs.
        var overdue: [(issuer: String, since: Int64)] = []
        var foreign: [String] = []
    }

    /// A file that a host needs.
    private struct Wanted: Hashable {
        enum Use { case upstreams, clients, lists }
        let use: Use
        let path: String

        /// What the gateway does while it does not have the file.
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
        identities = Dictionary(configuration.identities.map { ($0.name, $0) }) { $1 }
        changed = Dictionary(
            plan.changes.filter { $0.item.kind == .host }.map { change in
                (change.item, change.former.flatMap { Host(record: $0.record) })
            }
        ) { $1 }
        for identity in configuration.identities { check(identity, of: configuration.node) }
        // The loop uses indices, since iterating would copy each host, and there may be very many.
        for index in configuration.hosts.indices {
            guard configuration.hosts[index].upstreamTLS != nil || configuration.hosts[index].clientAuth != nil else {
                continue
            }
            let host = configuration.hosts[index]
            let inForce = Set(former(of: host).map(Self.files) ?? [])
            for wanted in Self.files(of: host) { check(wanted, of: host, isInForce: inForce.contains(wanted)) }
            guard refused[ItemID(.host, host.domain.text)] == nil else { continue }
            checkIdentities(host)
            checkAuthorities(host)
            checkTogether(host)
        }
    }

    /// A host as the state has it; nil if it is new.
    private func former(of host: Host) -> Host? { changed[ItemID(.host, host.domain.text)] ?? host }

    private static func files(of host: Host) -> [Wanted] {
        let upstreams = host.upstreams.contains(where: \.isTLS) ? host.upstreamTLS?.caFile : nil
        return [upstreams.map { Wanted(use: .upstreams, path: $0) }].compactMap(\.self)
            + [host.clientAuth?.caFile.map { Wanted(use: .clients, path: $0) }].compactMap(\.self)
            + (host.clientAuth?.revocationLists ?? []).map { Wanted(use: .lists, path: $0) }
    }

    /// What gateways do while a file that a host already uses can't be used, for messages.
    private static let keeping =
        "a gateway that could use it before goes on with what it had; one that starts now does without"

    /// Checks a file that a host needs. If the host in force needs the file too, a bad file is no reason to refuse the
    /// host: a refusal would leave the former rules in force, which may permit more.
    private mutating func check(_ wanted: Wanted, of host: Host, isInForce: Bool) {
        let content = known[wanted] ?? Self.read(wanted, in: directory)
        known[wanted] = content
        let name = host.domain.text
        switch content {
        case .good: break
        case .missing(let failure):
            warnings.append(
                .warning(at: host.origin, "host '\(name)': \(failure.reason)", hint: wanted.withoutIt))
        case .bad(let failure) where isInForce:
            warnings.append(.warning(at: host.origin, "host '\(name)': \(failure.reason)", hint: Self.keeping))
        case .bad(let failure):
            // If several files are bad, the first one is the reason of the refusal.
            guard refused[ItemID(.host, name)] == nil else { return }
            refused[ItemID(.host, name)] = IssuanceFailure(
                failure.reason, hint: "the host stays as it was; \(wanted.key)")
            errors.append(
                .error(at: host.origin, "host '\(name)' will be refused: \(failure.reason)", hint: wanted.key))
        }
    }

    /// Checks an identity as the gateway reads it. A problem causes only a warning: it may be gone when the gateway
    /// reads the identity, and this machine may not have the identity's environment variables.
    private mutating func check(_ identity: NamedIdentity, of node: NodeSettings?) {
        let loaded = LoadedIdentity(identity.name, identity, node, in: directory, machine: SystemName.machine, now: now)
        loadedIdentities[identity.name] = loaded
        if loaded.isForDevelopment {
            warnings.append(
                .warning(at: identity.origin, "identity '\(identity.name)' \(LoadedIdentity.developmentClause)"))
        }
        guard let trouble = loaded.problem ?? loaded.expiry else { return }
        warnings.append(
            .warning(
                at: identity.origin, "identity '\(identity.name)' \(trouble)",
                hint: !loaded.isUnusable
                    ? nil : "the gateway continues with the former one; without one, it does not serve what uses it"))
    }

    /// Warns of identities by whose CAs peers are verified, and which have none on this machine; and of those that
    /// upstreams would refuse.
    private mutating func checkIdentities(_ host: Host) {
        let upstreams = host.upstreams.contains(where: \.isTLS) ? host.upstreamTLS : nil
        if let name = upstreams?.identity, let reason = loadedIdentities[name]?.reasonAgainstUpstreams {
            warnings.append(
                .warning(
                    at: host.origin,
                    "host '\(host.domain.text)': the identity '\(name)' can't be shown to upstreams: \(reason)",
                    hint: "the gateway continues with the former one; without one, it answers 502"))
        }
        let isForUpstreams = upstreams?.usesAuthorities(of: upstreams?.identity.flatMap { identities[$0] }) == true
        for (name, use) in [
            (host.clientAuth?.identity, Wanted.Use.clients), (isForUpstreams ? upstreams?.identity : nil, .upstreams),
        ] {
            guard let name, identities[name]?.peers.verifiesChain == true,
                let reason = loadedIdentities[name]?.lackOfAuthorities
            else { continue }
            warnings.append(
                .warning(
                    at: host.origin, "host '\(host.domain.text)': the identity '\(name)': \(reason)",
                    hint: Wanted(use: use, path: "").withoutIt))
        }
    }

    /// Warns of CA files that accept no certificate at all, for example because their only CA has expired.
    private mutating func checkAuthorities(_ host: Host) {
        var found: [(path: String, allowsExpired: Bool)] = []
        if let tls = host.upstreamTLS, let path = tls.caFile, host.upstreams.contains(where: \.isTLS) {
            found.append((path, tls.requirements(of: nil).allowsExpired))
        }
        if let settings = host.clientAuth, let path = authoritiesFile(settings) {
            let requirements = settings.requirements(of: settings.identity.flatMap { identities[$0] })
            if requirements.verifiesChain { found.append((path, requirements.allowsExpired)) }
        }
        for (path, allowsExpired) in found {
            let key = "\(allowsExpired) \(path)"
            let reason = useless[key] ?? reasonForNoAuthority(in: path, allowsExpired)
            useless[key] = .some(reason)
            guard let reason else { continue }
            warnings.append(
                .warning(
                    at: host.origin,
                    "host '\(host.domain.text)': the CAs in '\(path)' accept no certificate: \(reason)",
                    hint: "put a CA there that is valid, with a key of RSA 2048, EC 256 or Ed25519 at least"))
        }
    }

    private func reasonForNoAuthority(in path: String, _ allowsExpired: Bool) -> String? {
        let place = SecretReader(directory: directory).resolve(path)
        guard let pem = try? PrivateFile.content(of: place, atMost: PrivateFile.maxBytes).plainCopy(),
            let rules = try? PeerRules(
                purpose: .client, authorities: PEM.certificates(in: pem), allowsExpired: allowsExpired)
        else { return nil }
        return rules.reasonForNoAuthority(at: now)
    }

    /// The CA file by which a host's clients are verified; nil if the CAs are not in a file.
    private func authoritiesFile(_ settings: ClientAuthSettings) -> String? {
        if let caFile = settings.caFile { return caFile }
        guard let name = settings.identity, case .files(let files)? = identities[name]?.source else { return nil }
        return files.authoritiesFile
    }

    /// Checks that a host's CAs have signed the revocation lists in their name, and that there are not too many lists.
    /// Each of the files alone is good. Files that are missing on this machine are left out.
    private mutating func checkTogether(_ host: Host) {
        guard let settings = host.clientAuth, !settings.revocationLists.isEmpty else { return }
        let caFile = authoritiesFile(settings)
        let key = [caFile ?? ""] + settings.revocationLists
        let found = together[key] ?? look(at: caFile, settings.revocationLists)
        together[key] = found
        warn(of: found, settings, host)
        guard let fault = found.fault, let caFile else { return }
        let name = host.domain.text
        let reason = "the revocation lists don't fit the CAs in '\(caFile)': \(fault)"
        let inForce = former(of: host)?.clientAuth
        if let inForce, authoritiesFile(inForce) == caFile, inForce.revocationLists == settings.revocationLists {
            warnings.append(.warning(at: host.origin, "host '\(name)': \(reason)", hint: Self.keeping))
            return
        }
        refused[ItemID(.host, name)] = IssuanceFailure(reason, hint: "the host stays as it was")
        errors.append(
            .error(
                at: host.origin, "host '\(name)' will be refused: \(reason)",
                hint: "client_auth.crl_files name lists of the CAs that ca_file names"))
    }

    private mutating func warn(of found: Together, _ settings: ClientAuthSettings, _ host: Host) {
        let name = host.domain.text
        for (issuer, since) in found.overdue {
            warnings.append(
                .warning(
                    at: host.origin,
                    "host '\(name)': the revocation list of '\(issuer)' is past its next update, which was due on"
                        + " \(UTCTime.text(since))",
                    hint: settings.overdueLists == .refuse
                        ? "the gateway refuses all clients with certificates of this CA until it has a newer list"
                        : "it is used as it is, as crl_expired says"))
        }
        for issuer in found.foreign {
            warnings.append(
                .warning(
                    at: host.origin, "host '\(name)': the revocation list of '\(issuer)' is of none of the CAs",
                    hint: "it counts only for an intermediate CA of that name, whose certificate clients send"))
        }
    }

    private func look(at caFile: String?, _ lists: [String]) -> Together {
        var found = Together()
        func bytes(_ path: String, _ limit: Int) -> [UInt8]? {
            let place = SecretReader(directory: directory).resolve(path)
            return try? PrivateFile.content(of: place, atMost: limit).plainCopy()
        }
        do throws(PKIError) {
            var parsed: [RevocationList] = []
            for list in lists {
                guard let content = bytes(list, 2 * RevocationList.maximumBytes) else { continue }
                parsed += try RevocationList.lists(in: content)
            }
            found.overdue = RevocationList.overdue(parsed, now: now).map { ($0.issuer, $0.nextUpdate ?? 0) }
            guard let pem = caFile.flatMap({ bytes($0, PrivateFile.maxBytes) }) else { return found }
            let rules = try PeerRules(purpose: .client, authorities: PEM.certificates(in: pem), lists: parsed)
            found.foreign = rules.foreignLists.map(\.issuer)
        } catch {
            found.fault = error
        }
        return found
    }

    private static func read(_ wanted: Wanted, in directory: FilePath) -> TrustFile {
        wanted.use == .lists
            ? .readLists(wanted.path, in: directory) : .read(wanted.path, in: directory)
    }
}
