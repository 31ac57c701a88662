import PKI
import Remote

extension VaultSession {
    /// Lets Vault sign a certificate. The key never leaves this process.
    ///
    /// If an answer is lost, Vault may have signed a certificate that is never used. `VaultCertificate.mayHaveOrphan`
    /// shows this, or `VaultError.mayBeDone` if the call failed. The caller may simply call again.
    ///
    /// - Parameter request: A request for the order's names, made with `key`. If nil, a new one is made.
    package func sign(
        _ order: VaultCertificateOrder, key: PrivateKey, request: CertificateRequest? = nil
    ) throws(VaultError) -> VaultCertificate {
        let request = if let request { request } else { try order.request(key) }
        let role = order.role.oneLine(limit: 100)
        let call = VaultCall(
            method: .post, path: try VaultPath(order.mount, "sign", order.role),
            body: RemoteJSON.encode(VaultSignBody(order, request)),
            action: "sign by the role '\(role)' of '\(order.mount.oneLine(limit: 100))'")
        let reply = try send(call)
        let envelope = try reply.read(VaultSigned.self, for: call.action)
        guard let signed = envelope.data else { throw reply.malformed("'data' is missing", for: call.action) }
        var notes = envelope.notes(hiding: reply.secrets).filter { !VaultSignBody.explains($0) }
        if envelope.isLeased {
            notes.append(
                "Vault revokes the certificate when the token ends, since the role '\(role)' has generate_lease=true")
        }
        do throws(PKIError) {
            return try VaultCertificate(
                signed, for: order, key: key, now: client.now(), notes: notes, mayHaveOrphan: reply.mayBeDoneTwice)
        } catch {
            throw reply.malformed("\(error)", for: call.action, hint: nil)
        }
    }

    /// Revokes a certificate that the mount has signed, which can't be undone. Succeeds if the certificate is already
    /// revoked.
    package func revoke(_ certificate: Certificate, ofMount mount: String) throws(VaultError) {
        let digits = Array(certificate.serial.drop { $0 == "0" })
        let padded = digits.count % 2 == 0 ? digits : ["0"] + digits
        let serial = stride(from: 0, to: padded.count, by: 2).map { String(padded[$0...$0 + 1]) }.joined(separator: ":")
        let call = VaultCall(
            method: .post, path: try VaultPath(mount, "revoke"),
            body: RemoteJSON.encode(["serial_number": serial]),
            action: "revoke a certificate of '\(mount.oneLine(limit: 100))'")
        _ = try send(call)
    }

    /// The largest number of issuers of a mount that are read.
    private static var maximumIssuers: Int { 50 }

    /// Reads the CA certificates of all issuers of a PKI mount. With all issuers, peers are trusted even if their
    /// certificates come from the former CA or the next one. Nil if the token has no permission to list the issuers.
    package func authorities(ofMount mount: String) throws(VaultError) -> [Certificate]? {
        let name = "'\(mount.oneLine(limit: 100))'"
        let action = "list the issuers of \(name)"
        var call = VaultCall(method: .get, path: try VaultPath(mount, "issuers"), query: "?list=true", action: action)
        let keys: [String]
        do throws(VaultError) {
            let reply = try send(call)
            guard let list = try reply.read(VaultList.self, for: action).data else {
                throw reply.malformed("'data' is missing", for: action)
            }
            keys = list.keys
        } catch  where error.kind == .denied {
            return nil
        }
        guard keys.count <= Self.maximumIssuers else {
            throw VaultError(
                .malformed, "the mount \(name) has more than \(Self.maximumIssuers) issuers")
        }
        var authorities: [Certificate] = []
        for key in keys {
            call = VaultCall(
                method: .get, path: try VaultPath(mount, "issuer", key, "json"), action: "read an issuer of \(name)")
            let reply = try send(call)
            let issuer = try reply.read(VaultIssuer.self, for: call.action).data
            do throws(PKIError) {
                for der in try PEM.certificates(in: Array((issuer?.certificate ?? "").utf8)) {
                    let certificate = try Certificate(der: der)
                    if certificate.isCA, !authorities.contains(certificate) { authorities.append(certificate) }
                }
            } catch {
                throw reply.malformed("\(error)", for: call.action, hint: nil)
            }
        }
        return authorities
    }
}

private struct VaultList: Decodable {
    let keys: [String]
}

private struct VaultIssuer: Decodable {
    let certificate: String
}

/// The body of `sign`. It repeats the names of the request, since a role uses either the request's names or these.
private struct VaultSignBody: Encodable {
    let csr: String
    let format = "pem"
    let commonName: String?
    let names: String?
    let addresses: String?
    let uris: String?
    let ttl: String?

    private enum CodingKeys: String, CodingKey {
        case csr, format, ttl
        case commonName = "common_name"
        case names = "alt_names"
        case addresses = "ip_sans"
        case uris = "uri_sans"
    }

    init(_ order: VaultCertificateOrder, _ request: CertificateRequest) {
        func list(_ texts: [String]) -> String? { texts.isEmpty ? nil : texts.joined(separator: ",") }
        csr = request.pem
        commonName = order.names.first?.text
        names = list(order.names.compactMap { if case .dns(let name) = $0 { name } else { nil } })
        addresses = list(order.names.compactMap { if case .ip(let address) = $0 { address } else { nil } })
        uris = list(order.uris.compactMap { if case .uri(let uri) = $0 { uri } else { nil } })
        ttl = order.seconds.map { "\(max(1, $0))s" }
    }

    /// Whether a warning only says that the role uses the names in the request. The order's names are the same.
    static func explains(_ warning: String) -> Bool {
        warning.contains("was provided but the role is set with \"use_csr_")
    }
}
