import ConfigModel
import Issuers
import PKI
import State

/// Orders at Cloudflare with a credential that comes with the request and is not stored.
extension OwnedItems {
    /// Orders a certificate of Cloudflare's Origin CA, which is stored and not renewed. Its name is `name`, or a name
    /// that follows from the order. So a request that is repeated after a crash finds the order that it had begun.
    ///
    /// `context` reads and writes the journal. The call waits for Cloudflare's answer.
    package func orderOrigin(
        _ settings: CloudflareOriginIssuer, for names: [CertificateName], named name: String?,
        _ context: IssuanceContext
    ) throws -> Change {
        let order = [
            settings.requestType.rawValue, "\(settings.requestedValidityDays)", settings.zoneID ?? "",
            names.map(\.text).sorted().joined(separator: " "),
        ].joined(separator: "\n")
        let digest = Digest.sha256Text(Array(order.utf8))
        let name = name ?? Self.name(for: names.first?.text ?? "origin", digest)
        guard try !isTaken(name) else {
            throw OperationFailure(
                .nameTaken, "there is a certificate '\(name)'", hint: "to order another one, send a 'name' for it",
                faults: [OperationFailure.Fault(at: "/name", "is taken")])
        }
        let obtained: ObtainedCertificate
        do throws(IssuanceFailure) {
            obtained = try OriginOrder(name: name, names: names.map(\.text), settings).obtain(context)
        } catch {
            throw OperationFailure(.notPossible, error.reason, hint: error.hint)
        }
        let stored = try stored(obtained, named: name, context.sealer)
        return Change(
            item: ItemID(.certificate, name),
            mutations: [.putCertificate(stored)] + obtained.material.closing)
    }

    /// Orders a certificate pack at Cloudflare's edge. The state keeps nothing of it but an event, whose item has
    /// Cloudflare's identifier as its name.
    package func orderEdge(_ certificate: EdgeCertificate, _ context: IssuanceContext) throws -> Change {
        let order = [
            certificate.zoneID, certificate.authority.rawValue, certificate.validation.rawValue,
            "\(certificate.validityDays)", "\(certificate.cloudflareBranding)",
            certificate.hosts.map(\.text).sorted().joined(separator: " "),
        ].joined(separator: "\n")
        // No name in the file has a blank, so this name can't be one of them.
        let name = "api \(Digest.sha256Text(Array(order.utf8)).prefix(16))"
        do throws(IssuanceFailure) {
            let (pack, lease) = try EdgePacks(context).orderOnce(certificate, named: name)
            return Change(
                item: ItemID(.edgeCertificate, pack.id ?? ""), mutations: [.endEdgeOrder(certificate: name)],
                lease: lease)
        } catch {
            throw OperationFailure(.notPossible, error.reason, hint: error.hint)
        }
    }
}
