/// Warnings about settings that the file may have and the state records, but that no part of this version acts on.
extension Rules {
    mutating func warnOfUnusedSettings() {
        // Beside errors these would only distract.
        guard !reader.diagnostics.hasErrors else { return }
        if configuration.alerts != nil {
            report(.warning, "alerts", in: root, "this version sends no alerts")
        }
    }
}
