/// The version of Aegis (https://semver.org), which both programs and the metrics show. The first entry of CHANGELOG.md
/// has the same version.
package enum ProgramVersion {
    /// Major, minor and patch.
    package static let number = "0.1.0"
}
