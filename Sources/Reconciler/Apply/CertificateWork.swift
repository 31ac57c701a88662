import ConfigModel
import Issuers
import PKI
import State

/// Obtains certificates for an apply. It never changes, since several threads use it at once.
struct CertificateWork: Sendable {
    /// A certificate to obtain, or to retire at its provider.
    struct Order: Sendable {
        let change: Change
        /// Identifies the service that is called, such as the address of a CA. Only a limited number of orders with the
        /// same id run at once.
        let caID: String
        /// True if an interruption would leave unknown whether the provider has issued a certificate. An apply then
        /// waits for the end of this order, even after a request to stop.
        let cannotBeResumed: Bool

        init?(_ change: Change, of configuration: Configuration) {
            guard let item = change.declared else { return nil }
            self.change = change
            if case .edgeCertificate(let index) = item.place {
                caID = configuration.edgeCertificates[index].baseURL.text
                cannotBeResumed = false
                return
            }
            let issuer = configuration.issuers(of: item).first.flatMap { name in
                configuration.issuers.first { $0.name == name }
            }
            caID = issuer?.caID ?? ""
            if case .certificate(let index) = item.place,
                case .issued(let issued) = configuration.certificates[index].source
            {
                cannotBeResumed = issuer?.provider.leavesDoubt(about: issued) ?? false
            } else {
                cannotBeResumed = false
            }
        }

        init(retiring change: Change) {
            self.change = change
            caID =
                if case .revoke(let issuer)? = change.retirement { type(of: issuer.provider).serviceName } else {
                    "Cloudflare"
                }
            cannotBeResumed = false
        }
    }

    /// A thread's report about an order.
    enum Event: Sendable {
        case started(Order)
        /// The certificate was obtained. The mutations that store it must be part of one commit.
        case ready(Change, [StateMutation], warnings: [String])
        case failed(Change, IssuanceFailure)
    }

    let context: IssuanceContext
    let sources: CertificateSources
    let configuration: Configuration
    /// The names of the hosts that use a certificate, by the certificate's name.
    let users: [String: [DomainName]]

    func carryOut(_ order: Order, _ tell: (Event) -> Void) {
        guard let item = order.change.declared else { return }
        do throws(IssuanceFailure) {
            let name = item.id.name
            if case .edgeCertificate(let index) = item.place {
                return tell(try pack(configuration.edgeCertificates[index], order.change, item))
            }
            let obtained = try sources.obtain(
                configuration.value(of: item), named: name, for: users[name] ?? [], from: configuration.issuers)
            let stored = try obtained.stored(
                named: name, owner: .file, record: configuration.record(of: item), sealer: context.sealer,
                now: context.now())
            let replaced: [StateMutation]
            do throws(StateError) {
                replaced = try order.change.keepsFormer ? context.keepReplaced(name) : []
            } catch {
                throw IssuanceFailure("\(error)")
            }
            tell(
                .ready(
                    order.change, replaced + [.putCertificate(stored)] + obtained.material.closing,
                    warnings: obtained.material.warnings))
        } catch {
            tell(.failed(order.change, error))
        }
    }

    /// Orders a pack. A pack that is not active in time is recorded nevertheless, and later applies follow it.
    private func pack(
        _ certificate: EdgeCertificate, _ change: Change, _ item: DeclaredItem
    ) throws(IssuanceFailure) -> Event {
        let pack = try EdgePacks(context).order(certificate, named: item.id.name)
        guard pack.isActive || pack.isPending else { throw IssuanceFailure(pack.news) }
        let secrets: [StateMutation]
        do {
            secrets = try context.sealer.sealed([certificate.apiToken])
        } catch {
            throw IssuanceFailure("its token can't be sealed: \(error)")
        }
        return .ready(
            change, [.putItem(item.id, owner: .file, record: configuration.record(of: item))] + secrets,
            warnings: pack.isActive && pack.notes.isEmpty ? [] : [pack.news])
    }
}
