import COpenSSL
import PeerNames

@testable import PKI

/// Certificates of clients or servers that just satisfy or just break each rule, with the expected results.
final class PeerTable {
    /// Whether the certificates are for clients or for servers.
    let purpose: PeerRules.Purpose

    /// A peer's chain, the rules for it, and the expected result.
    struct Row: Sendable {
        let title: String
        let chain: [Forge.Made]
        let rules: PeerRules
        /// The broken rule, and the index of the certificate that breaks it. Nil if the chain is accepted.
        let reason: PeerRefusal.Reason?
        let depth: Int
        /// Whether `openssl verify` accepts the chain; nil if it has no such rule.
        let tool: Bool?
        /// The TLS versions in which the owner can use the certificate for a handshake.
        let versions: [TLSConnection.Version]
        let trusted: [Forge.Made]
        let lists: [[UInt8]]
    }

    private(set) var rows: [Row] = []
    private var serial = 1000
    private var keys: [Forge.Kind: Forge.Key] = [:]

    /// The settings of a row that usually keep their defaults.
    struct Settings {
        var names: [String] = []
        var verifiesChain = true
        var allowsExpired = false
        var acceptsOverdueLists = false
        var versions: [TLSConnection.Version] = [.v1_2, .v1_3]
    }

    /// The expected result of the openssl command, if it differs from that of PKI.
    enum Tool {
        case same
        case says(Bool)
        case hasNoSuchRule
    }

    func add(
        _ title: String, _ chain: [Forge.Made], trusting trusted: [Forge.Made], lists: [[UInt8]] = [],
        _ settings: Settings = Settings(), reason: PeerRefusal.Reason? = nil, depth: Int = 0, tool: Tool = .same
    ) throws {
        let names = settings.names.compactMap { text in
            PeerNamePattern(address: text) ?? PeerNamePattern(uri: text) ?? PeerNamePattern(email: text)
                ?? PeerNamePattern(hostName: text)
        }
        let rules = try PeerRules(
            purpose: purpose, authorities: trusted.map(\.der), lists: lists.map { try RevocationList(der: $0) },
            requiredNames: names, verifiesChain: settings.verifiesChain, allowsExpired: settings.allowsExpired,
            acceptsOverdueLists: settings.acceptsOverdueLists)
        let said: Bool? =
            switch tool {
            case .same: reason == nil
            case .says(let isGood): isGood
            case .hasNoSuchRule: nil
            }
        rows.append(
            Row(
                title: title, chain: chain, rules: rules, reason: reason, depth: depth, tool: said,
                versions: settings.versions, trusted: trusted, lists: lists))
    }

    /// Returns a new key. All rows share one RSA key of each size, since generating RSA keys is slow.
    private func key(_ kind: Forge.Kind) throws -> Forge.Key {
        if case .rsa = kind, let key = keys[kind] { return key }
        let key = try Forge.Key(kind)
        keys[kind] = key
        return key
    }

    func authority(
        _ name: String, from issuer: Forge.Made? = nil, signer: Forge.Key? = nil, kind: Forge.Kind = .p256,
        days: (Int64, Int64) = (-100, 1000), hash: Forge.Hash = .sha256,
        _ extensions: [Forge.Extension] = [.authority, .signsCertificates]
    ) throws -> Forge.Made {
        serial += 1
        return try Forge.certificate(
            name, key: key(kind), from: issuer, signer: signer, days: days, serial: serial, hash: hash, extensions)
    }

    func leaf(
        _ issuer: Forge.Made?, signer: Forge.Key? = nil, kind: Forge.Kind = .p256, days: (Int64, Int64) = (-10, 90),
        hash: Forge.Hash = .sha256, names: String? = "DNS:client.test", serial number: Int? = nil,
        _ extensions: [Forge.Extension]? = nil
    ) throws -> Forge.Made {
        serial += 1
        let extensions = extensions ?? [.endEntity, .signsHandshakes, forPurpose]
        return try Forge.certificate(
            "client", key: key(kind), from: issuer, signer: signer, days: days, serial: number ?? serial, hash: hash,
            extensions + (names.map { [.names($0)] } ?? []))
    }

    var forPurpose: Forge.Extension { purpose == .client ? .forClients : .forServers }
    var forTheOtherEnd: Forge.Extension { purpose == .client ? .forServers : .forClients }

    init(_ purpose: PeerRules.Purpose) throws {
        self.purpose = purpose
        try addChains()
        try addTimes()
        try addPurposes()
        try addStrengths()
        try addConstraints()
        try addLists()
        try addListTimes()
        try addListSigners()
        try addListScopes()
        try addListNumbers()
        try addNames()
        try addUnverified()
    }
}
