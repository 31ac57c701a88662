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
        /// Why the present CAs or revocation lists can't be used; nil if they can. If they can't, the former ones stay
        /// in use.
        var failure: String?

        var authorities: AuthoritySource {
            settings.caFile.map { .file($0) } ?? .identity(settings.identity ?? "")
        }

        /// Whether the entry has CAs and revocation lists, and takes them from the same places as another entry.
        func isLike(_ other: Entry) -> Bool {
            materials != nil && settings.caFile == other.settings.caFile && settings.identity == other.settings.identity
                && settings.revocationLists == other.settings.revocationLists
        }
    }

    /// The CAs, in DER, and the revocation lists from which rules are made.
    private struct Materials {
        let authorities: [[UInt8]]
        let lists: [RevocationList]
    }

    private var numbers: [ClientAuthSettings: ClientTrustNumber] = [:]
    private var entries: [ClientTrustNumber: Entry] = [:]
    private var free: [ClientTrustNumber] = []

    /// Why rules can't be made from the present CAs and revocation lists, for the log.
    var failures: Set<String> { Set(entries.values.lazy.compactMap(\.failure)) }

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
        Self.make(&entry, &materials, former: entries.values.first { $0.isLike(new) }?.materials)
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
            Self.make(&entry, &materials, former: former.materials)
            entries[number] = entry
            if entry.trust !== former.trust {
                renewed.append(ClientTrustDefinition(number: number, trust: entry.trust))
            }
        }
        return renewed
    }

    /// Makes the rules of an entry. If its CAs or revocation lists can't be used, the rules are made from `former` and
    /// the present requirements, so that a permission ends at once when the settings withdraw it.
    private static func make(
        _ entry: inout Entry, _ materials: inout PeerMaterials, former: @autoclosure () -> Materials?
    ) {
        let settings = entry.settings
        // This starts the parsing of all lists, even if another file can't be used or its lists are not parsed yet.
        let lists = settings.revocationLists.map { path in Result { try materials.lists(in: path) } }
        do {
            let present = Materials(
                authorities: try materials.authorities(of: entry.authorities),
                lists: try lists.flatMap { try $0.get() })
            try put(present, in: &entry, materials)
            let files = [settings.caFile].compactMap(\.self) + settings.revocationLists
            entry.failure = materials.fault(of: files).map { complaint("\($0)", entry) }
            return
        } catch is ListFiles.Pending {
            // The rules are made again when the lists are parsed. Until then the hosts with these rules answer no
            // handshake.
            return
        } catch let error as PKIError where !settings.revocationLists.isEmpty {
            let lists = settings.revocationLists.map { "'\($0)'" }.joined(separator: ", ")
            let owner = settings.caFile.map { "'\($0)'" } ?? "the identity '\(settings.identity ?? "")'"
            entry.failure = "the CAs of \(owner), and the revocation lists in \(lists): \(error)"
        } catch {
            entry.failure = "\(error)"
        }
        // An identity that the state has lost leaves its requirements unknown, so the former rules stay as they are.
        if settings.identity.map({ materials.settings(of: $0) != nil }) ?? true, let former = former() {
            do { try put(former, in: &entry, materials) } catch { entry.trust = nil }
        }
        entry.failure = entry.failure.map { complaint($0, entry) }
    }

    /// Makes an entry's rules from these CAs and lists, and from the present requirements of its settings and its
    /// identity.
    private static func put(_ new: Materials, in entry: inout Entry, _ materials: PeerMaterials) throws(PKIError) {
        let settings = entry.settings
        let requirements = settings.requirements(of: settings.identity.flatMap { materials.settings(of: $0) })
        let rules = try PeerRules(
            purpose: .client, authorities: new.authorities, lists: new.lists,
            requiredNames: requirements.requiredSANs, verifiesChain: requirements.verifiesChain,
            allowsExpired: requirements.allowsExpired, acceptsOverdueLists: settings.overdueLists == .accept)
        if rules.digest != entry.trust?.rules.digest {
            entry.trust = try PeerTrust(rules: rules, now: { GatewayServer.now })
        }
        entry.materials = new
    }

    private static func complaint(_ reason: String, _ entry: Entry) -> String {
        let stays = entry.trust == nil ? "hosts that need it answer no handshake" : "the former ones are used on"
        return "clients' certificates can't be verified: \(reason); \(stays)"
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
