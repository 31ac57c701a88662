import Foundation
import FuzzDriver
import PKI
import PeerNames

// Reads any bytes as a peer's certificate, as certificates beside a good one, and as a revocation list.

let now: Int64 = 1_800_000_000
let authority = try CertificateAuthority.makeRoot(commonName: "root", now: now)
let leaf = try authority.issue(
    for: PrivateKey.generate(.ecdsaP256), names: [.dns("a.test")], now: now, lifetimeSeconds: 86_400
).der
let names = [
    PeerNamePattern(hostName: "*.test"), PeerNamePattern(uri: "spiffe://a.test/*/b"),
    PeerNamePattern(address: "10.0.0.5"),
    PeerNamePattern(email: "a@a.test"),
].compactMap { $0 }
let verified = try trust(PeerRules(purpose: .server, authorities: [authority.certificate.der]))
let unverified = try trust(PeerRules(purpose: .client, authorities: [], verifiesChain: false, allowsExpired: true))
let named = try trust(
    PeerRules(purpose: .client, authorities: [], requiredNames: names, verifiesChain: false, allowsExpired: true))

func trust(_ rules: PeerRules) throws -> PeerTrust { try PeerTrust(rules: rules, now: { now }) }

func take(_ bytes: [UInt8]) {
    // Only the CA can make a certificate that is accepted.
    precondition(refusal(of: [bytes], by: verified) != nil)
    // Certificates beside a good one do no harm, unless they can't be read.
    let beside = refusal(of: [leaf, bytes, bytes], by: verified)
    precondition(beside == nil || beside?.reason == .unreadable)
    // A certificate that stricter rules accept must also be accepted by less strict rules.
    let plain = refusal(of: [bytes], by: unverified)
    if refusal(of: [bytes], by: named) == nil { precondition(plain == nil) }
    let again = checked(named.recheck(leaf: bytes, now: now))
    if plain == nil { precondition([nil, .missingName, .notYetValid, .unreadable].contains(again?.reason)) }

    guard let list = result({ try RevocationList(der: bytes) }) else { return }
    precondition(isPlain(list.issuer) && list.count <= RevocationList.maximumEntries)
    precondition(result { try RevocationList.lists(in: bytes).map(\.count) } ?? [list.count] == [list.count])
    // A list that the CA has not signed is refused if it has the CA's name. Otherwise it is another CA's list.
    guard
        let rules = result({ try PeerRules(purpose: .server, authorities: [authority.certificate.der], lists: [list]) }
        ),
        let trust = try? trust(rules)
    else { return }
    precondition(refusal(of: [leaf], by: trust) == nil)
    _ = refusal(of: [leaf, bytes], by: trust)
}

/// The decision about a chain, which must be the same each time.
func refusal(of chain: [[UInt8]], by trust: PeerTrust) -> PeerRefusal? {
    let refusal = checked(trust.refusal(of: chain))
    precondition(trust.refusal(of: chain) == refusal)
    return refusal
}

/// Checks that all texts of a refusal can be shown.
func checked(_ refusal: PeerRefusal?) -> PeerRefusal? {
    guard let refusal else { return nil }
    precondition(isPlain(refusal.description) && refusal.description.utf8.count < 1000)
    if let certificate = refusal.certificate {
        let texts =
            [certificate.subject, certificate.issuer, certificate.serial, certificate.fingerprint] + certificate.names
        precondition(texts.allSatisfy { isPlain($0) && $0.utf8.count <= PeerCertificate.maximumTextBytes + 6 })
        precondition(certificate.names.count <= PeerCertificate.maximumNames && certificate.namesLeftOut >= 0)
    }
    return refusal
}

func isPlain(_ text: String) -> Bool { text.utf8.allSatisfy { 0x20...0x7E ~= $0 } }

exit(fuzz(take))
