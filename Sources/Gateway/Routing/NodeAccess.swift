import ConfigModel
import PKI
import PeerNames

/// Which clients may use the node listener, and the certificate that the gateway shows there.
///
/// If new settings can't be carried out, the gateway keeps the former identity, and accepts only the former clients
/// that the new settings still list.
struct NodeAccess: Sendable {
    let credential: TLSCredential
    /// The version of the identity that `credential` comes from.
    let identityVersion: [UInt8]
    /// The rules for client certificates. A certificate must have a SAN that `node.allow` lists.
    let trust: PeerTrust
    /// The entries of `node.allow`, each with what the client may do.
    private let allowed: [NodeSettings.Allowed]
    private let authorities: [[UInt8]]
    private let allowsExpired: Bool

    /// Throws the reason why the settings can't be carried out.
    init(_ node: NodeSettings, _ materials: PeerMaterials) throws {
        guard let name = node.identity else { throw NodeAccessFault("it has no identity") }
        guard let identity = materials.identity(name) else {
            throw NodeAccessFault("the identity '\(name)' can't be used: \(materials.reasonForLack(of: name))")
        }
        guard !identity.authorities.isEmpty else {
            throw NodeAccessFault("the identity '\(name)': \(materials.reasonForLackOfAuthorities(of: name))")
        }
        try self.init(
            credential: identity.credential, identityVersion: identity.version, authorities: identity.authorities,
            allowsExpired: materials.settings(of: name)?.peers.allowsExpired ?? false, allowed: node.allowed)
    }

    private init(
        credential: TLSCredential, identityVersion: [UInt8], authorities: [[UInt8]], allowsExpired: Bool,
        allowed: [NodeSettings.Allowed]
    ) throws {
        // Rules without required names would let in every client with a certificate of these CAs.
        guard !allowed.isEmpty else { throw NodeAccessFault("node.allow accepts no client") }
        self.credential = credential
        self.identityVersion = identityVersion
        self.authorities = authorities
        self.allowsExpired = allowsExpired
        self.allowed = allowed
        let rules = try PeerRules(
            purpose: .client, authorities: authorities, requiredNames: allowed.map(\.san), allowsExpired: allowsExpired)
        trust = try PeerTrust(rules: rules, now: { GatewayServer.now })
    }

    /// This access, restricted to the clients that new settings still list. It is used while the new settings can't be
    /// carried out, since a permission that they withdraw must end even then. `identity` has the settings of the
    /// identity that `node` names. Nil if the settings list none of the clients.
    func restricted(to node: NodeSettings, _ identity: NamedIdentity?) -> NodeAccess? {
        let stillAllowed = allowed.filter { node.allowed.contains($0) }
        return try? NodeAccess(
            credential: credential, identityVersion: identityVersion, authorities: authorities,
            allowsExpired: allowsExpired && identity?.peers.allowsExpired != false, allowed: stillAllowed)
    }

    /// The client whose certificate has these names, and whether it may change anything. If `node.allow` lists several
    /// of the names, a name with write access is preferred. Nil if none is listed.
    func holder(of names: [PeerName]) -> AdminRequest.Holder? {
        func first(_ scopes: [NodeSettings.Scope]) -> PeerName? {
            let patterns = allowed.filter { scopes.contains($0.scope) }.map(\.san)
            return names.first { name in patterns.contains { $0.matches(name) } }
        }
        if let name = first([.write]) { return AdminRequest.Holder(name: name.text, mayChange: true) }
        return first([.read]).map { AdminRequest.Holder(name: $0.text, mayChange: false) }
    }

    func isSame(as other: NodeAccess) -> Bool {
        identityVersion == other.identityVersion && trust.rules.digest == other.trust.rules.digest
            && allowed == other.allowed
    }
}

struct NodeAccessFault: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
