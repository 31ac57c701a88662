extension IdentitySource {
    /// The source for somebody who only looks: of a development CA the files that are there, which are not made.
    package var asItIs: IdentitySource {
        guard case .development(let directory, let nodeID, _) = self else { return self }
        let names = DevelopmentIdentity.FileNames(nodeID: nodeID)
        return .files(
            certificate: "\(directory)/\(names.certificate)", key: "\(directory)/\(names.key)",
            authorities: "\(directory)/\(names.authority)")
    }
}
