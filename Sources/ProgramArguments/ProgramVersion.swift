/// The version of Aegis, which both programs and the metrics tell (https://semver.org). CHANGELOG.md begins with it.
package enum ProgramVersion {
    /// Major, minor and patch.
    package static let number = "0.1.0"
}
