import ConfigModel
import Reconciler
import SystemPackage

/// Looks whether the PEM texts of custom certificates are there.
enum CertificateMaterials {
    static func look(for configuration: Configuration, in file: ConfigurationFile) -> (
        materials: [String: CertificateMaterial], warnings: [Diagnostic]
    ) {
        var materials: [String: CertificateMaterial] = [:]
        var warnings: [Diagnostic] = []
        for certificate in configuration.certificates {
            guard case .custom(let custom) = certificate.source else { continue }
            materials[certificate.name] = .readable
            for secret in [custom.certificate, custom.key] {
                guard let reason = reasonWhyUnreadable(secret, in: file) else { continue }
                materials[certificate.name] = .unreadable("known after apply")
                warnings.append(
                    .warning(
                        at: secret.origin, "certificate '\(certificate.name)': \(reason)",
                        hint: "it is planned as 'known after apply'; applying needs it"))
            }
        }
        return (materials, warnings)
    }

    private static func reasonWhyUnreadable(_ secret: Secret, in file: ConfigurationFile) -> String? {
        switch secret.source {
        case .inline, .fingerprint: return nil
        case .environment(let name):
            return Terminal.environment(name) == nil ? "the variable \(name) is not set here" : nil
        case .file(let path):
            do {
                let descriptor = try FileDescriptor.open(
                    file.resolve(path), .readOnly, options: [.closeOnExec, .nonBlocking])
                // A folder opens, but does not read.
                try descriptor.closeAfter {
                    _ = try unsafe withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) {
                        try unsafe descriptor.read(into: $0)
                    }
                }
                return nil
            } catch {
                return "cannot read '\(path)' here: \(error)"
            }
        }
    }
}
