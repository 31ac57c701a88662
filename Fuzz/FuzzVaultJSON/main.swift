import Foundation
import FuzzDriver
import HTTPClient
import PKI
import Vault

// Reads any bytes as an answer of Vault. They are parsed, or refused in one line, and the times of a token must never
// trap.

let key = try PrivateKey.generate(.ecdsaP256)
let order = VaultCertificateOrder(mount: "pki", role: "web", names: [.dns("a.test")], seconds: 60)
let request = try order.request(key)
let place = VaultSecretPlace(mount: "kv", path: "a", certificate: "cert", key: "key", authorities: "ca")
let login = #"{"auth":{"client_token":"canary-token","lease_duration":60,"renewable":true}}"#

/// A session that gets these bytes as answers: to the login and renewals with `isToken`, otherwise to all later calls.
func session(_ bytes: [UInt8], status: Int, isToken: Bool, isVersioned: Bool) -> VaultSession {
    let client = try? VaultClient(
        VaultServer(address: "https://vault.test"), jitter: 1, wait: { _, _ in }, now: { 1_800_000_000 },
        connect: { (_) throws(HTTPFailure) in
            { (request) throws(HTTPFailure) in
                if request.url.contains("/v1/auth/") != isToken {
                    let mount = #"{"data":{"type":"kv","options":{"version":"\#(isVersioned ? 2 : 1)"}}}"#
                    return HTTPResponse(status: 200, body: Array((isToken ? mount : login).utf8))
                }
                if request.url.contains("/sys/internal/"), isVersioned {
                    return HTTPResponse(
                        status: 200, body: Array(#"{"data":{"type":"kv","options":{"version":"2"}}}"#.utf8))
                }
                return HTTPResponse(status: status, body: bytes)
            }
        })
    guard let client else { preconditionFailure("the address is good") }
    let secret: VaultLogin.Secret = { SecretBytes(Array("canary-secret".utf8)) }
    return VaultSession(
        client, login: VaultLogin(isToken ? .token(secret) : .appRole(roleID: secret, secretID: secret)), jitter: .max)
}

func take(_ bytes: [UInt8]) {
    for status in [200, 403] { check(session(bytes, status: status, isToken: true, isVersioned: true)) }
    for (status, isVersioned) in [(200, true), (200, false), (400, true), (404, true)] {
        let session = session(bytes, status: status, isToken: false, isVersioned: isVersioned)
        check(session)
        told { () throws(VaultError) in
            try session.sign(order, key: key, request: request).notes.forEach(isLine)
        }
        told { () throws(VaultError) in _ = try session.authorities(ofMount: "pki") }
        told { () throws(VaultError) in _ = try session.version(of: place) }
        told { () throws(VaultError) in _ = try session.secret(at: place) }
    }
}

func check(_ session: VaultSession) {
    let tending = session.tend()
    precondition(tending.nextAt > 1_800_000_000 && tending.nextAt <= 1_800_003_600)
    tending.notes.forEach(isLine)
    if let failure = tending.failure { isLine(failure.description) }
}

func told(_ work: () throws(VaultError) -> Void) {
    do throws(VaultError) {
        try work()
    } catch {
        isLine(error.description)
    }
}

func isLine(_ text: String) {
    precondition(text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F })
}

exit(fuzz(take))
