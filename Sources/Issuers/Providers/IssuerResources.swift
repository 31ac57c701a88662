import PKI
import State

/// The resources that the issuers of a process share.
package struct IssuerResources: Sendable {
    let context: IssuanceContext
    /// The accounts at ACME CAs, and the board on which challenges are published.
    let acme: ACMEOrders
    /// The local CA. If it is a failure, only certificates from the local CA fail.
    let local: Result<LocalAuthority, IssuanceFailure>
    let vaults: VaultSessions
}
