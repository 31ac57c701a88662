import ConfigModel
import PKI
import State

extension Sealer {
    /// Puts those of some secrets that stand in the file, for who works from the state alone.
    func sealed(_ secrets: [Secret]) throws(SealError) -> [StateMutation] {
        var mutations: [StateMutation] = []
        for secret in secrets {
            guard case .inline(let text) = secret.source else { continue }
            let row = secret.fingerprint
            let sealed = try seal(SecretBytes(Array(text.utf8)), purpose: SealPurpose.issuerSecret, row: row)
            mutations.append(.putSecret(fingerprint: row, sealed: sealed))
        }
        return mutations
    }
}
