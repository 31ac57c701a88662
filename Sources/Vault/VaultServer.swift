import HTTPClient
import PKI

// Vault: a client of HashiCorp Vault and of OpenBao, which have the same API: logins and tokens, certificates of the PKI
// engine, and secrets of the KV engine. `VaultClient` makes single calls and repeats those that a server in trouble lost.
// `VaultSession` keeps a token alive. The rules when a token is due, and how long to ask again, are pure; HTTP, waits and
// the time come from the caller. Tokens and keys are in no error. Everything that a server sends is bounded.

/// A Vault server, as the configuration names it.
package struct VaultServer: Sendable {
    /// The server's URL without a slash at the end, such as `https://vault.example.com:8200`.
    package let address: String
    let trust: HTTPClient.Trust
    let namespace: String?
    let timeout: Duration

    /// The largest answer that is read, 1 MiB.
    static let maximumBytes = 1 << 20

    /// - Parameters:
    ///   - address: The server's URL: https, or http to this machine itself.
    ///   - authorities: The CAs in PEM that the server's certificate may come from. Nil means the system's CAs.
    ///   - namespace: The namespace of all calls, with or without slashes around it.
    ///   - timeout: The time limit of one try. All tries of a call take at most twice as long.
    package init(
        address: String, authorities: [UInt8]? = nil, namespace: String? = nil, timeout: Duration = .seconds(30)
    ) {
        self.address = String(address.reversed().drop { $0 == "/" }.reversed())
        trust = authorities.map { .authorities(pem: $0) } ?? .system
        self.namespace = namespace
        self.timeout = timeout
    }

    /// Makes an HTTP client for the server. `credential` is shown when the server asks for a client certificate.
    package func connect(_ credential: TLSCredential?) throws(HTTPFailure) -> VaultClient.Transport {
        let client = try HTTPClient(
            trust: trust, credential: credential, userAgent: "aegis", timeout: timeout,
            maximumBytes: Self.maximumBytes, plainHTTP: .thisMachine)
        try client.check(address)
        return { (request) throws(HTTPFailure) in try client.send(request) }
    }
}

/// The path of a call below `/v1/`, percent-encoded. Names that would lead elsewhere are rejected.
struct VaultPath: Sendable, Equatable {
    let text: String
    /// The longest name of a mount, a role or a secret, in bytes.
    private static let maximumNameBytes = 512

    /// Joins parts, each of which may have several segments: mounts and paths of secrets have slashes in them.
    ///
    /// - Throws: If a part has an empty segment, `.` or `..`, or is empty or too long.
    init(_ parts: String...) throws(VaultError) {
        var segments: [String] = []
        for part in parts {
            let trimmed = part.utf8.drop { $0 == UInt8(ascii: "/") }.reversed().drop { $0 == UInt8(ascii: "/") }
            let names = Array(trimmed.reversed()).split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            guard part.utf8.count <= Self.maximumNameBytes, names.allSatisfy(Self.isName) else {
                throw VaultError(
                    .settings, "'\(part.oneLine(limit: 100))' can't be part of a path",
                    hint: "names of mounts, roles and secrets have no empty part, no '.' and no '..' between slashes")
            }
            segments += names.map(Self.encoded)
        }
        text = segments.joined(separator: "/")
    }

    private static func isName(_ name: ArraySlice<UInt8>) -> Bool {
        !name.isEmpty && !name.elementsEqual(".".utf8) && !name.elementsEqual("..".utf8)
            && name.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }

    /// Encodes all bytes but the unreserved ones (RFC 3986 section 2.3).
    private static func encoded(_ name: ArraySlice<UInt8>) -> String {
        let hex = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in name {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                bytes.append(byte)
            default: bytes += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
