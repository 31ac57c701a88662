import ConfigModel
import PKI
import State

extension Sealer {
    /// Seals the secrets that the file itself contains, for gateways and commands that only have the state.
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
