import Issuers
import PKI
import PrivateFiles
import State
import SystemPackage

/// The files of CAs by which hosts verify their peers.
enum AuthorityFiles {
    /// The paths among `paths` whose files can't be used as lists of CAs. Relative paths start at `directory`. Files that
    /// this user may not read are left out.
    static func unusable(among paths: Set<String>, in directory: FilePath) -> Set<String> {
        let reader = SecretReader(directory: directory)
        return paths.filter { path in
            let place = reader.resolve(path)
            do {
                let content = try PrivateFile.content(of: place, atMost: PrivateFile.maxBytes)
                _ = try PeerRules(serversOf: content.plainCopy())
                return false
            } catch {
                return !place.isDenied
            }
        }
    }
}
