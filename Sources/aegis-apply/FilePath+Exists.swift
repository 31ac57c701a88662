import SystemPackage

extension FilePath {
    var exists: Bool { (try? stat()) != nil }
}
