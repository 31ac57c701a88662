import ConfigModel
import Materials
import PKI

/// The rules for the client certificates of all hosts. Hosts with the same rules share a number, and workers find the
/// rules by that number. A number is given to other rules only after the last host with the old rules is gone.
struct ClientTrusts {
    private struct Entry {
        /// The settings from which the rules are made.
        let settings: ClientAuthSettings
        var users = 1
        var trust: PeerTrust?
        /// The CAs and revocation lists from which `trust` was made.
        var materials: Materials?
        /// Why some of the present CAs or revocation lists can't be used. The former ones stay in use then.
        var failures: [String] = []

        /// Adds a reason, unless it is known.
        mutating func add(_ failure: String) { if !failures.contains(failure) { failures.append(failure) } }

        var authorities: AuthoritySource {
            settings.caFile.map { .file($0) } ?? .identity(settings.identity ?? "")
        }

        /// Whether the entry has CAs and revocation lists, and takes them from the same places as another entry.
        func isLike(_ other: Entry) -> Bool {
            materials != nil && settings.caFile == other.settings.caFile && settings.identity == other.settings.identity
                && settings.revocationLists == other.settings.revocationLists
        }
    }

    /// The CAs, in DER, and the revocation lists by their file's path, from which rules are made.
    private struct Materials {
        let authorities: [[UInt8]]
        var lists: [String: FileLists] = [:]

        var allLists: [RevocationList] { lists.values.flatMap(\.all) }
    }

    /// The revocation lists that a file adds to the rules.
    private struct FileLists {
        /// Lists that stay in use when the file loses them.
        var lasting: [RevocationList]
        /// Lists that the file got when it lost others, and whose CA is unknown: the file may be a wrong one. They
        /// count only as long as the file has them.
        var doubtful: [RevocationList] = []

        var all: [RevocationList] { lasting + doubtful }
    }

    private var numbers: [ClientAuthSettings: ClientTrustNumber] = [:]
    private var entries: [ClientTrustNumber: Entry] = [:]
    private var free: [ClientTrustNumber] = []

    /// Why present CAs and revocation lists can't be used, for the log. `hosts` returns the names of the hosts with the
    /// rules of a number.
    func failures(_ hosts: (ClientTrustNumber) -> String) -> Set<String> {
        Set(
            entries.flatMap { number, entry in
                let names = entry.trust == nil && !entry.failures.isEmpty ? hosts(number) : ""
                let rest =
                    entry.trust == nil
                    ? "hosts that need it answer no handshake\(names.isEmpty ? "" : ": \(names)")"
                    : "the former ones are used on"
                return entry.failures.map { "clients' certificates can't be verified: \($0); \(rest)" }
            })
    }

    /// Counts one more host with these settings, and returns the number of its rules. New rules are added to the
    /// update.
    mutating func use(
        _ settings: ClientAuthSettings, _ materials: inout PeerMaterials, _ update: inout TableUpdate
    ) -> ClientTrustNumber {
        let settings = Self.rules(in: settings)
        if let number = numbers[settings] {
            entries[number]?.users += 1
            return number
        }
        let number = free.popLast() ?? ClientTrustNumber(entries.count)
        if let caFile = settings.caFile { materials.use(caFile) }
        for list in settings.revocationLists { materials.useList(list) }
        let new = Entry(settings: settings)
        var entry = new
        // If a host's requirements change while its files can't be used, the files' last good content is in the entry
        // with the former requirements.
        make(&entry, &materials, former: entries.values.first { $0.isLike(new) }?.materials)
        numbers[settings] = number
        entries[number] = entry
        update.clientTrusts.append(ClientTrustDefinition(number: number, trust: entry.trust))
        return number
    }

    /// The part of the settings on which the rules depend. Hosts that differ only in the other settings share rules.
    private static func rules(in settings: ClientAuthSettings) -> ClientAuthSettings {
        var rules = settings
        (rules.mode, rules.forwarding) = (.require, .none)
        return rules
    }

    /// Subtracts one from the number of hosts that use these rules. Rules without a host are removed.
    mutating func release(
        _ number: ClientTrustNumber, _ materials: inout PeerMaterials, _ update: inout TableUpdate
    ) {
        guard let entry = entries[number] else { return }
        if entry.users > 1 {
            entries[number]?.users -= 1
            return
        }
        numbers[entry.settings] = nil
        entries[number] = nil
        free.append(number)
        if let caFile = entry.settings.caFile { materials.release(caFile) }
        for list in entry.settings.revocationLists { materials.release(list) }
        update.clientTrusts.append(ClientTrustDefinition(number: number, trust: nil))
    }

    /// Makes the rules again that come from a file or an identity in `change`.
    ///
    /// - Returns: The rules that differ from before.
    mutating func renew(
        after change: PeerMaterials.Change, _ materials: inout PeerMaterials
    ) -> [ClientTrustDefinition] {
        var renewed: [ClientTrustDefinition] = []
        for (number, former) in entries {
            let settings = former.settings
            guard change.concerns(settings.caFile, settings.revocationLists, settings.identity) else { continue }
            var entry = former
            make(&entry, &materials, former: former.materials)
            entries[number] = entry
            if entry.trust !== former.trust {
                renewed.append(ClientTrustDefinition(number: number, trust: entry.trust))
            }
        }
        return renewed
    }

    /// Makes the rules of an entry from the present requirements, and from the last CAs and revocation lists that can be
    /// used. So a permission ends at once when the settings withdraw it, and each file that can be used takes effect
    /// although another one can't.
    private func make(_ entry: inout Entry, _ materials: inout PeerMaterials, former: Materials?) {
        let settings = entry.settings
        // This starts the parsing of all lists, even if another file can't be used or its lists are not parsed yet.
        let lists = settings.revocationLists.map { path in (path, Result { try materials.lists(in: path) }) }
        // The rules are made again when the lists are parsed. Until then the hosts with these rules answer no handshake.
        guard !lists.contains(where: { Self.isPending($0.1) }) else { return }
        entry.failures = ([settings.caFile].compactMap(\.self) + settings.revocationLists).compactMap {
            materials.fault(of: $0)?.description
        }
        let present = Result { try authorities(entry, materials) }
        // If the lists don't fit the present CAs, as while a CA gets a new key, the former CAs stay in use.
        for authorities in [present, former.map { .success($0.authorities) }].compactMap(\.self) {
            do {
                let (new, complaints) = try combine(authorities.get(), lists, former, settings)
                try Self.put(new, in: &entry, materials)
                return complaints.forEach { entry.add($0) }
            } catch {
                entry.add("\(error)")
            }
            // An identity that the state has lost leaves its requirements unknown, so the former rules stay as they are.
            guard settings.identity.map({ materials.settings(of: $0) != nil }) ?? true else { return }
        }
        guard let former else { return }
        do { try Self.put(former, in: &entry, materials) } catch { entry.trust = nil }
    }

    private static func isPending(_ result: Result<[RevocationList], any Error>) -> Bool {
        if case .failure(let error) = result { error is ListFiles.Pending } else { false }
    }

    /// The last CAs of an entry that can be used.
    private func authorities(_ entry: Entry, _ materials: PeerMaterials) throws -> [[UInt8]] {
        let authorities = try materials.authorities(of: entry.authorities)
        if authorities.isEmpty, case .identity(let name) = entry.authorities,
            materials.settings(of: name)?.peers.verifiesChain != false
        {
            throw PeerMaterials.Fault(
                place: "the identity '\(name)'", reason: materials.reasonForLackOfAuthorities(of: name))
        }
        return authorities
    }

    /// Combines CAs with the lists of files. A file whose lists are not signed by the CAs keeps its former lists. A
    /// file that has lost a list, or has an older one than before, keeps the former one too. Otherwise a wrong or old
    /// file would turn off revocation.
    ///
    /// - Returns: The CAs and lists, and what is wrong with the files.
    /// - Throws: If the former lists of a file are not signed by these CAs either, or the file never had lists.
    private func combine(
        _ authorities: [[UInt8]], _ read: [(path: String, lists: Result<[RevocationList], any Error>)],
        _ former: Materials?, _ settings: ClientAuthSettings
    ) throws -> (Materials, complaints: [String]) {
        let rules = try PeerRules(purpose: .client, authorities: authorities, verifiesChain: false)
        var new = Materials(authorities: authorities)
        var complaints: [String] = []
        for (path, lists) in read {
            let lists = try lists.get()
            new.lists[path] = FileLists(lasting: lists)
            guard let fault = rules.fault(of: lists) else { continue }
            let owner = settings.caFile.map { "'\($0)'" } ?? "the identity '\(settings.identity ?? "")'"
            let complaint = PeerMaterials.Fault(
                place: "the CAs of \(owner), and the revocation lists in '\(path)'", reason: "\(fault)")
            guard let kept = self.lists(in: path, former), rules.fault(of: kept.all) == nil else { throw complaint }
            complaints.append("\(complaint)")
            new.lists[path] = kept
        }
        complaints += try keepLostLists(in: &new, former, rules)
        return (new, complaints)
    }

    /// Keeps the lists that files have lost. `rules` have the CAs of `new`.
    ///
    /// - Returns: Which file has lost what.
    private func keepLostLists(in new: inout Materials, _ former: Materials?, _ rules: PeerRules) throws -> [String] {
        var complaints: [String] = []
        let all = new.allLists
        for (path, present) in new.lists.sorted(by: { $0.key < $1.key }) {
            guard let former = lists(in: path, former)?.lasting else { continue }
            // A list that the CA of its name has not signed is of a CA that was removed.
            let lost = RevocationList.lost(of: former, in: all).filter { rules.fault(of: [$0]) == nil }
            guard !lost.isEmpty else { continue }
            let foreign = try PeerRules(
                purpose: .client, authorities: new.authorities, lists: present.all, verifiesChain: false
            ).foreignLists
            let isDoubtful = { (list: RevocationList) in
                foreign.contains { $0 === list } && !former.contains { $0.issuer == list.issuer }
            }
            new.lists[path] = FileLists(
                lasting: present.all.filter { !isDoubtful($0) } + lost, doubtful: present.all.filter(isDoubtful))
            complaints += lost.map { "'\(path)' has no list of '\($0.issuer)' any more, or only an older one" }
        }
        return complaints
    }

    /// The lists of a file that are in use; nil if there are none yet. Another host's lists count too, so that a
    /// change of other settings of a host loses none.
    private func lists(in path: String, _ former: Materials?) -> FileLists? {
        former?.lists[path] ?? entries.values.lazy.compactMap { $0.materials?.lists[path] }.first
    }

    /// Makes an entry's rules from these CAs and lists, and from the present requirements of its settings and its
    /// identity.
    private static func put(_ new: Materials, in entry: inout Entry, _ materials: PeerMaterials) throws(PKIError) {
        let settings = entry.settings
        let requirements = settings.requirements(of: settings.identity.flatMap { materials.settings(of: $0) })
        let rules = try PeerRules(
            purpose: .client, authorities: new.authorities, lists: new.allLists,
            requiredNames: requirements.requiredSANs, verifiesChain: requirements.verifiesChain,
            allowsExpired: requirements.allowsExpired, acceptsOverdueLists: settings.overdueLists == .accept)
        if rules.digest != entry.trust?.rules.digest {
            entry.trust = try PeerTrust(rules: rules, now: { GatewayServer.now })
        }
        entry.materials = new
    }
}

extension ClientCertificateRule {
    /// The rule of a host with these settings. `trust` is the number of the rules that verify its clients'
    /// certificates.
    init(_ settings: ClientAuthSettings, trust: ClientTrustNumber) {
        mode =
            switch settings.mode {
            case .require: .require
            case .optional: .optional
            }
        forwarding =
            switch settings.forwarding {
            case .none: .none
            case .clientCert: .clientCert
            case .xfcc: .xfcc
            }
        self.trust = trust
    }
}
