import ConfigModel
import Materials
import PKI

/// How the gateway verifies upstreams, and which certificate it shows them. Upstreams with the same settings share one
/// value.
struct UpstreamTrusts {
    private struct Entry {
        var users = 1
        var trust: UpstreamTrust
        /// Why the present CAs or the present identity can't be used; nil if they can. If they can't, trust that was
        /// made earlier stays in force.
        var failure: String?
    }

    private var entries: [UpstreamTLS: Entry] = [:]
    /// The TLS contexts that upstreams share. `context` has no CAs and is for upstreams that `PeerRules` verify;
    /// `systemContext` trusts the system's CAs.
    private var context: TLSClientContext?
    private var systemContext: TLSClientContext?

    /// Why CAs or identities can't be used now, for the log.
    var failures: Set<String> { Set(entries.values.lazy.compactMap(\.failure)) }

    /// Counts one more upstream with these settings, and returns its trust.
    mutating func use(_ settings: UpstreamTLS, _ materials: inout PeerMaterials) -> UpstreamTrust {
        if let trust = entries[settings]?.trust {
            entries[settings]?.users += 1
            return trust
        }
        if let caFile = settings.caFile { materials.use(caFile) }
        let trust = make(settings, materials)
        entries[settings] = Entry(trust: trust, failure: trust.failure ?? complaint(about: settings, materials))
        return trust
    }

    /// Subtracts one from the number of upstreams with these settings.
    mutating func release(_ settings: UpstreamTLS, _ materials: inout PeerMaterials) {
        guard let users = entries[settings]?.users else { return }
        if users > 1 {
            entries[settings]?.users = users - 1
            return
        }
        entries[settings] = nil
        if let caFile = settings.caFile { materials.release(caFile) }
    }

    /// Makes the trust again that comes from a file or an identity in `change`. If a CA file can't be used, its former
    /// CAs stay trusted. But if upstreams are verified by an identity's CAs, and the identity in force has none, no
    /// upstream is trusted.
    ///
    /// - Returns: The trust that differs from before.
    mutating func renew(
        after change: PeerMaterials.Change, _ materials: PeerMaterials
    ) -> [UpstreamTLS: UpstreamTrust] {
        var renewed: [UpstreamTLS: UpstreamTrust] = [:]
        for (settings, former) in entries where change.concerns(settings.caFile, [], settings.identity) {
            let present = make(settings, materials)
            let isReplaced = former.trust.mayBecome(present)
            let isKept = present.failure != nil && former.trust.failure == nil && !isReplaced
            let failure =
                present.failure.map { isKept ? "\($0)\(Self.staying)" : $0 } ?? complaint(about: settings, materials)
            entries[settings]?.failure = failure
            guard isReplaced else { continue }
            entries[settings]?.trust = present
            renewed[settings] = present
        }
        return renewed
    }

    private static let staying = "; the former ones stay trusted"

    /// Why the CA file can't be used now, although its last content is still in use; nil if it can be used.
    private func complaint(about settings: UpstreamTLS, _ materials: PeerMaterials) -> String? {
        settings.caFile.flatMap { materials.fault(of: $0) }.map { "\(Self.text(of: $0))\(Self.staying)" }
    }

    private static func text(of fault: PeerMaterials.Fault) -> String {
        "the CAs in \(fault.place) can't be used: \(fault.reason)"
    }

    private mutating func make(_ settings: UpstreamTLS, _ materials: PeerMaterials) -> UpstreamTrust {
        var shown: UpstreamTrust.Shown?
        if let name = settings.identity {
            guard let identity = materials.identity(name) else {
                let reason = materials.reasonForLack(of: name)
                return .unusable("the identity '\(name)' can't be shown to upstreams: \(reason)", keepsFormer: true)
            }
            if let reason = identity.reasonAgainstUpstreams {
                return .unusable("the identity '\(name)' can't be shown to upstreams: \(reason)", keepsFormer: true)
            }
            shown = UpstreamTrust.Shown(credential: identity.credential, version: identity.version)
        }
        let declared = settings.identity.flatMap { materials.settings(of: $0) }
        let authorities: AuthoritySource? =
            settings.usesAuthorities(of: declared)
            ? settings.identity.map { .identity($0) } : settings.caFile.map { .file($0) }
        let requirements = settings.requirements(of: declared)
        do {
            if authorities == nil, requirements == PeerRequirements() {
                return .known(try contextOfSystem(), nil, shown)
            }
            let trusted = try authorities.map { try materials.authorities(of: $0) } ?? []
            if trusted.isEmpty, requirements.verifiesChain, case .identity(let name)? = authorities {
                throw IdentityFault("the identity '\(name)': \(materials.reasonForLackOfAuthorities(of: name))")
            }
            let rules = try PeerRules(
                purpose: .server, authorities: trusted,
                requiredNames: requirements.requiredSANs, verifiesChain: requirements.verifiesChain,
                allowsExpired: requirements.allowsExpired, trustsSystem: authorities == nil)
            let context = try context ?? TLSClientContext(trust: .nobody)
            self.context = context
            return .known(context, try PeerTrust(rules: rules, now: { GatewayServer.now }), shown)
        } catch let fault as PeerMaterials.Fault {
            return .unusable(Self.text(of: fault), keepsFormer: true)
        } catch {
            // If the CAs should come from an identity, the identity in force has none, as after a change of its
            // settings. The former rules may permit more than the new settings, so the former rules must not stay in
            // force.
            let reason = "the CAs of upstreams can't be used: \(error)"
            return .unusable(reason, keepsFormer: settings.caFile != nil)
        }
    }

    private mutating func contextOfSystem() throws(PKIError) -> TLSClientContext {
        if let systemContext { return systemContext }
        let context = try TLSClientContext(trust: .system)
        systemContext = context
        return context
    }
}
