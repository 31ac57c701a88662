import HTTPClient
import PKI

// Vault: a client of HashiCorp Vault and OpenBao, which have the same API. It handles logins and tokens, certificates
// of the PKI engine, and secrets of the KV engine. `VaultClient` makes single calls, and repeats them if the server is
// in trouble. `VaultSession` keeps a token valid. The types that decide when a token is due and how long to wait do no
// I/O; the caller passes in waits and the time. Errors never contain tokens or keys. All input from a server is
// limited.

/// A Vault server and the settings for connections to it.
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
    ///   - timeout: The time limit of one try. All tries of a call together take at most twice as long.
    package init(
        address: String, authorities: [UInt8]? = nil, namespace: String? = nil, timeout: Duration = .seconds(10)
    ) {
        self.address = String(address.reversed().drop { $0 == "/" }.reversed())
        trust = authorities.map { .authorities(pem: $0) } ?? .system
        self.namespace = namespace
        self.timeout = timeout
    }

    /// Makes an HTTP client for the server. `credential` is the client certificate for a server that asks for one.
    package func connect(_ credential: TLSCredential?) throws(HTTPFailure) -> VaultClient.Transport {
        let client = try HTTPClient(
            trust: trust, credential: credential, userAgent: "aegis", timeout: timeout,
            maximumBytes: Self.maximumBytes, plainHTTP: .thisMachine)
        try client.check(address)
        return { (request) throws(HTTPFailure) in try client.send(request) }
    }
}

/// The path of a call below `/v1/`, percent-encoded. A name is rejected if it would change the path, such as `..`.
struct VaultPath: Sendable, Equatable {
    let text: String
    /// The longest name of a mount, a role or a secret, in bytes.
    private static let maximumNameBytes = 512

    /// Joins parts of a path. A part may have several segments, since mounts and paths of secrets contain slashes.
    ///
    /// - Throws: If a part is empty or too long, or has an empty segment, `.` or `..`.
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

    /// Percent-encodes all bytes except the unreserved ones (RFC 3986 section 2.3).
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
