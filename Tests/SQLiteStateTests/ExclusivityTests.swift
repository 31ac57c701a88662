import Foundation
import PrivateFiles
import SystemPackage
import TestSupport
import Testing

@Suite struct ExclusivityTests {
    @Test("Who finds a directory locked waits, and says in the end what it waited for")
    func occupied() throws {
        let folder = try TemporaryFolder()
        let directory = FilePath(folder.path("state"))
        try PrivateDirectory.exclusively(in: directory) {
            let refusal = #expect(throws: PrivateDirectory.Occupied.self) {
                try PrivateDirectory.exclusively(in: directory, patienceSeconds: 0) {}
            }
            #expect(refusal?.description.contains("\(directory)") == true)
        }
        #expect(try PrivateDirectory.exclusively(in: directory, patienceSeconds: 0) { true })
    }
}
