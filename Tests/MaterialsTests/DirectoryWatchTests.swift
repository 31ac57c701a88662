import Foundation
import Glibc
import Materials
import SystemPackage
import TestSupport
import Testing

/// Watches real directories. The kernel has an event ready before the call that causes it returns.
struct DirectoryWatchTests {
    private let folder: TemporaryFolder
    private let watch: DirectoryWatch

    init() throws {
        folder = try TemporaryFolder()
        watch = try DirectoryWatch()
    }

    private func path(_ name: String) -> FilePath { FilePath(folder.path(name)) }

    private func makeFolder(_ name: String) throws {
        try FileManager.default.createDirectory(atPath: folder.path(name), withIntermediateDirectories: false)
    }

    private func link(_ target: String, _ name: String) throws {
        try FileManager.default.createSymbolicLink(atPath: folder.path(name), withDestinationPath: target)
    }

    private func move(_ name: String, to other: String) {
        // This is safe, since the call only reads the paths.
        #expect(unsafe rename(folder.path(name), folder.path(other)) == 0)
    }

    private func overwrite(_ name: String) throws {
        let file = try FileDescriptor.open(path(name), .writeOnly, options: [.truncate])
        try file.closeAfter { _ = try file.writeAll("other".utf8) }
    }

    @Test("Each way to change a file is reported once, and other files of its directory are not")
    func ways() throws {
        _ = try folder.file("ca.pem", "one")
        _ = try folder.file("new.pem", "two")
        watch.follow([path("ca.pem"), path("later.pem")])
        #expect(!watch.drain())
        let changes: [() throws -> Void] = [
            { try overwrite("ca.pem") }, { move("new.pem", to: "ca.pem") },
            { #expect(unsafe chmod(folder.path("ca.pem"), 0o600) == 0) },
            { try FileManager.default.removeItem(atPath: folder.path("ca.pem")) },
            { _ = try folder.file("later.pem", "later") },
        ]
        for (number, change) in changes.enumerated() {
            try change()
            #expect(watch.drain(), "change \(number)")
            #expect(!watch.drain())
        }
        _ = try folder.file("other.pem", "other")
        try overwrite("other.pem")
        #expect(!watch.drain())
    }

    @Test("A link is followed to the file's own directory, and replaced links in between are reported")
    func links() throws {
        for name in ["..0", "..1", "far"] { try makeFolder(name) }
        _ = try folder.file("..0/ca.pem", "one")
        _ = try folder.file("..1/ca.pem", "two")
        _ = try folder.file("far/real.pem", "far")
        try link("..0", "..data")
        try link("..data/ca.pem", "ca.pem")
        try link("far/real.pem", "near.pem")
        watch.follow([path("ca.pem"), path("near.pem")])
        try link("..1", "..new")
        #expect(!watch.drain())
        move("..new", to: "..data")
        #expect(watch.drain())
        try overwrite("far/real.pem")
        #expect(watch.drain())
    }

    @Test("A directory that is made later, or again, is watched after renewing")
    func directories() throws {
        watch.follow([path("certs/ca.pem")])
        try makeFolder("certs")
        watch.renew()
        _ = try folder.file("certs/ca.pem", "one")
        #expect(watch.drain())
        move("certs", to: "former")
        #expect(watch.drain())
        try makeFolder("certs")
        watch.renew()
        _ = watch.drain()
        try overwrite("former/ca.pem")
        #expect(!watch.drain())
        _ = try folder.file("certs/ca.pem", "two")
        #expect(watch.drain())
    }

    @Test("Files that are no longer followed are not reported")
    func unfollowed() throws {
        try makeFolder("certs")
        watch.follow([path("certs/ca.pem"), path("ca.pem")])
        watch.follow([path("ca.pem")])
        _ = watch.drain()
        _ = try folder.file("certs/ca.pem", "one")
        #expect(!watch.drain())
    }
}
