import Foundation
import Glibc
import Materials
import PKI
import SystemPackage
import TestSupport
import Testing

/// Watches files of the real file system; other tests use `PlayedFiles`.
struct SystemFilesTests {
    let folder: TemporaryFolder
    var files: WatchedFiles

    init() throws {
        folder = try TemporaryFolder()
        files = WatchedFiles(directory: FilePath(folder.path))
    }

    private func text(_ name: String) -> String? {
        files[name].content.map { String(decoding: $0.plainCopy(), as: UTF8.self) }
    }

    /// Checks the files until a condition is true.
    private mutating func look(until condition: (WatchedFiles) -> Bool) {
        for _ in 0..<2000 {
            _ = files.look()
            if condition(files) { return }
            usleep(5_000)
        }
        Issue.record("the change is not seen")
    }

    private func inPlace(_ name: String, _ text: String) throws {
        let file = try FileDescriptor.open(FilePath(folder.path(name)), .writeOnly, options: [.truncate])
        try file.closeAfter { _ = try file.writeAll(text.utf8) }
    }

    @Test("A file replaced by rename, by overwriting or by a changed link is noticed")
    mutating func ways() throws {
        _ = try folder.file("ca.pem", "one")
        files.use("ca.pem")
        #expect(text("ca.pem") == "one")
        _ = try folder.file("ca.pem", "two")
        look { $0["ca.pem"].version == 2 }
        #expect(text("ca.pem") == "two")
        try inPlace("ca.pem", "six")
        look { $0["ca.pem"].version == 3 }
        #expect(text("ca.pem") == "six")
    }

    @Test("Links swapped the way Kubernetes does are noticed")
    mutating func kubernetes() throws {
        for (number, content) in ["one", "two"].enumerated() {
            let directory = folder.path("..\(number)")
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
            try content.write(toFile: directory + "/ca.pem", atomically: false, encoding: .utf8)
        }
        let link = { [folder] (target: String, name: String) in
            try FileManager.default.createSymbolicLink(atPath: folder.path(name), withDestinationPath: target)
        }
        try link("..0", "..data")
        try link("..data/ca.pem", "ca.pem")
        files.use("ca.pem")
        #expect(text("ca.pem") == "one")
        try link("..1", "..new")
        #expect(unsafe rename(folder.path("..new"), folder.path("..data")) == 0)
        look { $0["ca.pem"].version == 2 }
        #expect(text("ca.pem") == "two")
    }

    @Test("A pipe, device, directory or dangling link is refused without a wait")
    mutating func odd() throws {
        // This is safe, since the calls only read the paths.
        #expect(unsafe mkfifo(folder.path("pipe"), 0o600) == 0)
        try FileManager.default.createDirectory(atPath: folder.path("folder"), withIntermediateDirectories: false)
        #expect(unsafe symlink("nowhere", folder.path("link")) == 0)
        #expect(unsafe symlink("link2", folder.path("link2")) == 0)
        let expected = [
            "pipe": "it is no regular file", "/dev/zero": "it is no regular file", "/dev/stdin": nil,
            "folder": "it is a directory", "link": "No such file or directory",
            "link2": "Too many levels of symbolic links", "link/ca.pem": "No such file or directory",
        ]
        for (path, reason) in expected {
            files.use(path)
            if let reason { #expect(files[path].failure?.reason == reason, "\(path)") }
        }
    }

    @Test("A file of 1 MiB is read, a longer one is not")
    mutating func sizes() throws {
        _ = try folder.file("good", String(repeating: "x", count: 1 << 20))
        _ = try folder.file("bad", String(repeating: "x", count: (1 << 20) + 1))
        files.use("good")
        files.use("bad")
        #expect(files["good"].content?.count == 1 << 20)
        #expect(files["bad"].failure?.reason == "it is larger than 1 MiB")
    }

    @Test("The permissions are those of the file that was read")
    mutating func permissions() throws {
        let path = try folder.file("key.pem", "key")
        #expect(unsafe chmod(path, 0o640) == 0)
        files.use("key.pem")
        #expect(files["key.pem"].permissions == [.ownerReadWrite, .groupRead])
        #expect(unsafe chmod(path, 0o600) == 0)
        look { $0["key.pem"].permissions == .ownerReadWrite }
        #expect(files["key.pem"].version == 1)
    }
}
