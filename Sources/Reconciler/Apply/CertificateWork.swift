import ConfigModel
import Issuers
import PKI
import State

/// Has certificates ready to be stored. Several threads do it at once, so it holds values alone.
struct CertificateWork: Sendable {
    /// A certificate that is to be had.
    struct Order: Sendable {
        let change: Change
        let item: DeclaredItem
    }

    /// What is told meanwhile.
    enum Event: Sendable {
        case started(Change)
        /// What puts it into the state, in one commit.
        case ready(Change, [StateMutation], warnings: [String])
        case failed(Change, IssuanceFailure)
    }

    let tools: IssuanceTools
    let sources: CertificateSources
    let configuration: Configuration
    /// The names that each certificate's hosts answer to.
    let users: [String: [DomainName]]

    func carryOut(_ order: Order, _ tell: (Event) -> Void) {
        tell(.started(order.change))
        do throws(IssuanceFailure) {
            let name = order.item.id.name
            if case .edgeCertificate(let index) = order.item.place {
                return tell(try pack(configuration.edgeCertificates[index], order))
            }
            let obtained = try sources.obtain(
                configuration.value(of: order.item), named: name, for: users[name] ?? [], from: configuration.issuers)
            let stored = try obtained.stored(
                named: name, owner: .file, record: configuration.record(of: order.item), sealer: tools.sealer,
                now: tools.now())
            tell(
                .ready(
                    order.change, [.putCertificate(stored)] + obtained.material.closing,
                    warnings: obtained.material.warnings))
        } catch {
            tell(.failed(order.change, error))
        }
    }

    /// Orders a pack. One that takes longer than we wait is in the state all the same: whoever comes next follows it.
    private func pack(_ certificate: EdgeCertificate, _ order: Order) throws(IssuanceFailure) -> Event {
        let pack = try EdgePacks(tools).order(certificate, named: order.item.id.name)
        guard pack.isActive || pack.isPending else { throw IssuanceFailure(pack.news) }
        let secrets: [StateMutation]
        do {
            secrets = try tools.sealer.sealed([certificate.apiToken])
        } catch {
            throw IssuanceFailure("its token can't be sealed: \(error)")
        }
        return .ready(
            order.change,
            [.putItem(order.item.id, owner: .file, record: configuration.record(of: order.item))] + secrets,
            warnings: pack.isActive && pack.notes.isEmpty ? [] : [pack.news])
    }
}
