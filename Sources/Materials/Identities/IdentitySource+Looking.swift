extension IdentitySource {
    /// The source for a process that must not create files. A development CA becomes its existing files.
    package var asItIs: IdentitySource {
        guard case .development(let directory, let nodeID, _) = self else { return self }
        let names = DevelopmentIdentity.FileNames(nodeID: nodeID)
        return .files(
            certificate: "\(directory)/\(names.certificate)", key: "\(directory)/\(names.key)",
            authorities: "\(directory)/\(names.authority)")
    }
}
