import Foundation
import HTTPClient
import Testing

@testable import PKI

/// Which servers a client trusts: those with a certificate from a trusted CA, for the name in the URL.
@Suite struct TrustTests {
    fileprivate static let now = Int64(Date().timeIntervalSince1970)

    /// A root, a CA below it, and a server's certificate from that CA.
    private struct Chain {
        let root: Certificate
        let issuing: Certificate
        let leaf: Certificate
        let key: PrivateKey

        /// `names` become DNS names without a check. Nil for a certificate without alternative names.
        init(names: [String], commonName: String? = "leaf") throws {
            let (rootKey, issuingKey) = (try PrivateKey.generate(.ecdsaP256), try PrivateKey.generate(.ecdsaP256))
            key = try PrivateKey.generate(.ecdsaP256)
            func template(
                _ name: String?, _ issuer: Certificate?, _ key: PrivateKey, _ extensions: [CertificateExtension]
            ) throws -> CertificateTemplate {
                CertificateTemplate(
                    commonName: name, issuer: issuer, publicKeyDER: try key.publicKeyDER(),
                    notBefore: TrustTests.now - 300, notAfter: TrustTests.now + 3600, extensions: extensions)
            }
            root = try template("root", nil, rootKey, [.authority(pathLength: 1)]).signed(by: rootKey)
            issuing = try template("issuing", root, issuingKey, [.authority(pathLength: 0)]).signed(by: rootKey)
            let value = DER.sequence(names.map { DER.value(tag: 0x82, Array($0.utf8)) })
            let alternative = CertificateExtension(identifier: "2.5.29.17", isCritical: false, value: value)
            leaf = try template(commonName, issuing, key, names.isEmpty ? [.endEntity] : [.endEntity, alternative])
                .signed(by: issuingKey)
        }
    }

    private func failure(_ chain: Chain, shown: [Certificate], trusted: Certificate, host: String = "ca.test")
        throws -> String?
    {
        let server = try TestServer(chain: shown, key: chain.key, trusted: trusted)
        let client = try server.client()
        do throws(HTTPFailure) {
            _ = try client.send(HTTPRequest(.get, "https://\(host):\(server.port)/echo"))
            return nil
        } catch {
            #expect(!error.mayHaveArrived)
            return error.reason
        }
    }

    @Test("A CA file may contain a root, an intermediate, or the server's certificate")
    func named() throws {
        let chain = try Chain(names: ["ca.test"])
        for trusted in [chain.root, chain.issuing, chain.leaf] {
            #expect(try failure(chain, shown: [chain.leaf, chain.issuing], trusted: trusted) == nil)
        }
        #expect(try failure(chain, shown: [chain.leaf], trusted: chain.issuing) == nil)
        #expect(try failure(chain, shown: [chain.leaf], trusted: chain.root) != nil)
    }

    @Test(
        "A client shows its certificate and chain to a server that asks for one", arguments: [true, false])
    func credential(isAsking: Bool) throws {
        let (own, other) = (try Chain(names: ["ca.test"]), try Chain(names: ["client.test"], commonName: "client"))
        let server = try TestServer(
            chain: [own.leaf, own.issuing], key: own.key, trusted: own.root, asking: isAsking ? other.root : nil)
        let shown = try TLSCredential(chain: [other.leaf, other.issuing].map(\.der), key: other.key)
        let client = try server.client(credential: shown)
        let request = HTTPRequest(.get, "https://ca.test:\(server.port)/echo")
        #expect(try Echo(client.send(request)).shown == (isAsking ? ["client"] : []))
        #expect(try Echo(server.client().send(request)).shown == [])
    }

    @Test("With the loopback rule, plain http reaches only this machine")
    func plainHTTP() throws {
        let client = try HTTPClient(userAgent: "x", plainHTTP: .thisMachine)
        for host in ["127.0.0.1", "127.1.2.3:80", "localhost", "a.localhost", "[::1]:8200", "[0:0::0:1]"] {
            #expect(throws: Never.self) { try client.check("http://\(host)/a") }
        }
        for host in ["127.0.0.1.test", "localhost.test", "128.0.0.1", "[::2]", "[7f00::1]", "ca.test"] {
            let failure = #expect(throws: HTTPFailure.self) { try client.check("http://\(host)/a") }
            #expect(failure?.reason == "bad URL: http is not encrypted: https is needed")
            #expect(throws: Never.self) { try client.check("https://\(host)/a") }
        }
    }

    @Test("A name only in the subject does not count", arguments: ["ca.test", "127.0.0.1"])
    func subject(_ name: String) throws {
        let chain = try Chain(names: [], commonName: name)
        let said = try failure(chain, shown: [chain.leaf, chain.issuing], trusted: chain.root, host: name)
        #expect(said?.hasSuffix("SSL certificate problem: hostname mismatch") == true, "\(said ?? "it was believed")")
    }

    @Test("A wildcard must be a whole label", arguments: ["c*.test", "*a.test", "c*a.test", "ca.tes*"])
    func partialWildcard(_ name: String) throws {
        let chain = try Chain(names: [name], commonName: "ca.test")
        #expect(try failure(chain, shown: [chain.leaf, chain.issuing], trusted: chain.root) != nil)
    }
}
