import ConfigModel
import PKI

/// A certificate of a test's own CA, with its key, in PEM.
struct Issued {
    let chain: String
    let key: String

    init(names: [String], now: Int64, days: Int64 = 90) throws {
        let authority = try CertificateAuthority.makeRoot(commonName: "A CA of tests", now: now)
        let secret = try PrivateKey.generate(.ecdsaP256)
        let leaf = try authority.issue(
            for: secret, names: names.map { .dns($0) }, now: now, lifetimeSeconds: days * 86_400)
        chain = leaf.pem
        key = String(decoding: try secret.pem().plainCopy(), as: UTF8.self)
    }

    /// The body by which it is stored.
    var body: String { PlainValue.map([("cert_pem", .string(chain)), ("key_pem", .string(key))]).jsonText }
}

extension PlainValue {
    var jsonText: String { String(decoding: json(), as: UTF8.self) }
}
