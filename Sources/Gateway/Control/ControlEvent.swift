import Issuers
import Materials

/// An event that another thread reports to the control thread.
enum ControlEvent: Sendable {
    case stateTouched
    /// A check of the state for damage has ended.
    case stateChecked(StateCheck)
    /// The retired addresses can be closed now.
    case retired
    case resolved(Resolver.Answer)
    case certificateDone(name: String, CertificateJob.Outcome)
    /// A CA was asked for renewal advice.
    case adviceTaken(directory: String)
    /// An identity was obtained from a Vault, or an attempt to obtain one has failed.
    case identityDelivered
    /// Revocation lists were parsed.
    case listsRead(ListFiles.Reading)
    /// The thread that revokes replaced certificates has ended. Some revocations may have failed.
    case revocationsDone
    /// The thread that checks the ordered certificate packs has ended.
    case packsFollowed
    /// The thread that calls the webhook of alerts has ended.
    case webhookCalled
}
