import ConfigModel
import Issuers
import Operations
import PKI
import State
import SystemPackage

/// Creates, changes and deletes hosts of the API.
enum HostChanges {
    static let all: [Route] = [
        .changing(
            "POST", "/api/v1/hosts", "createHost", "Creates a host", status: 201, body: HostBody.schema, create),
        .changing(
            "PATCH", "/api/v1/hosts/{id}", "changeHost", "Changes a host, by a JSON merge patch (RFC 7396)",
            status: 200,
            body: HostBody.schema, change),
        .changing("DELETE", "/api/v1/hosts/{id}", "deleteHost", "Deletes a host", status: 204) { call in
            try call.owned.deleteHost(call.parameters["id"] ?? "")
        },
        .changing(
            "POST", "/api/v1/hosts/{id}/renew", "renewHost",
            "Makes a gateway obtain or renew the host's certificate soon, even if it is not due or waits after a failure. Events have the result",
            status: 202
        ) { call in try call.owned.renewCertificate(ofHost: call.parameters["id"] ?? "") },
    ]

    /// The change that creates a host. Nothing is committed.
    static func create(_ call: Call) throws -> OwnedItems.Change {
        // In a new host, null is the same as leaving a member out.
        let sent = try read(PlainValue.object([]).merged(with: call.body), call)
        return try carryOut(sent, former: nil, call)
    }

    /// The change of a host. Nothing is committed.
    static func change(_ call: Call) throws -> OwnedItems.Change {
        let name = call.parameters["id"] ?? ""
        let former: Host
        do {
            former = try call.owned.ownedHost(name)
        } catch let failure as OperationFailure {
            throw Problem(failure)
        }
        let record = former.record(.compact)
        var base = HostBody.members(of: record)
        if case .string(let certificate)? = record["certificate"], !sendsCertificate(call.body),
            let number = try call.store.number(ofCertificate: certificate)
        {
            base.append(PlainValue.Entry(HostBody.certificateNumber, .int(Int(number))))
        }
        return try carryOut(try read(PlainValue.object(base).merged(with: call.body), call), former: former, call)
    }

    private static func sendsCertificate(_ body: PlainValue) -> Bool { body[HostBody.chain] != nil }

    private static func read(_ value: PlainValue, _ call: Call) throws -> HostBody.Sent {
        try HostBody.read(value) { try call.store.certificate(numbered: $0)?.certificate }
    }

    private static func carryOut(_ sent: HostBody.Sent, former: Host?, _ call: Call) throws -> OwnedItems.Change {
        do {
            let certificate = try sent.certificate.map { try store($0, former: former, call) }
            let settings = certificate.map { HostBody.use($0.name, in: sent.settings) } ?? sent.settings
            guard let former else { return try call.owned.createHost(settings, with: certificate) }
            return try call.owned.changeHost(former.domain.text, to: settings, with: certificate)
        } catch var failure as OperationFailure {
            failure.faults = failure.faults.map { fault in
                OperationFailure.Fault(
                    at: HostBody.pointer(fault.pointer, sendsCertificate: sent.certificate != nil),
                    HostBody.message(fault.message, at: fault.pointer))
            }
            throw failure
        }
    }

    /// The certificate that was sent with a host, ready to be stored. It replaces the host's present certificate if the
    /// API owns the present one and no other host uses it.
    private static func store(
        _ texts: (chain: String, key: String), former: Host?, _ call: Call
    ) throws -> StoredCertificate {
        var replaced: String?
        if let name = former?.certificate, let present = try call.store.certificate(named: name), present.owner == .api,
            try CertificateUse(of: present, in: call.store).hosts.map(\.name) == [former?.domain.text ?? ""]
        {
            replaced = name
        }
        let sent = SentCertificate(
            chain: SecretBytes(Array(texts.chain.utf8)), key: SecretBytes(Array(texts.key.utf8)))
        return try call.owned.examine(
            sent, replacing: replaced, at: OwnedItems.Places(chain: "/\(HostBody.chain)", key: "/\(HostBody.key)"),
            try call.sealer())
    }
}

extension Call {
    /// What the API may change.
    var owned: OwnedItems { OwnedItems(self.store, now: self.now) }

    /// What calls to CAs need. Changes of the API hold the lease for applying meanwhile, as an apply does.
    func issuance() throws -> IssuanceContext {
        let now = self.dependencies.now
        let sealer = try sealer()
        let directory = FilePath(try self.store.directory() ?? ".")
        return IssuanceContext(
            store: self.store, holder: .current(), sealer: sealer,
            secrets: SecretReader(directory: directory, store: self.store, sealer: sealer), now: now,
            patience: .seconds(5))
    }

    /// Seals keys for the state.
    func sealer() throws -> Sealer { Sealer(key: try self.dependencies.writing.masterKey(self.store)) }
}
