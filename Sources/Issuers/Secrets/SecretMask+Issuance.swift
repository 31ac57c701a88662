import ConfigModel
import HTTPClient
import PKI

extension SecretMask {
    /// Makes a mask for the secrets in an issuer's settings. Secrets that can't be read are skipped.
    init(_ settings: any IssuerSettings, _ reader: SecretReader) {
        self.init(settings.secrets.compactMap { try? reader.read($0) })
    }

    /// Replaces each secret in a failure by asterisks.
    func hiding(in failure: IssuanceFailure) -> IssuanceFailure {
        IssuanceFailure(
            hiding(in: failure.reason), hint: failure.hint.map { hiding(in: $0) }, notBefore: failure.notBefore)
    }
}
