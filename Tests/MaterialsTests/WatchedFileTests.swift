import Materials
import PKI
import SystemPackage
import TestSupport
import Testing

struct WatchedFileTests {
    let played = PlayedFiles()
    var files: WatchedFiles

    init() {
        files = WatchedFiles(directory: "/etc", files: played)
        played.write("one", to: "/etc/ca.pem")
        played.pass(seconds: 60)
        files.use("ca.pem")
    }

    private var text: String? { files["ca.pem"].content.map { String(decoding: $0.plainCopy(), as: UTF8.self) } }

    @Test("An unchanged file is read once, and each check costs one stat")
    mutating func unchanged() {
        let marks = played.marks
        for _ in 0..<10 {
            played.pass(seconds: 1)
            #expect(files.look().isEmpty)
        }
        #expect(played.readings == 1)
        #expect(played.marks == marks + 10)
        #expect(text == "one")
    }

    @Test("A change is noticed at the next check, and gets a new version")
    mutating func changed() {
        let version = files["ca.pem"].version
        played.write("two", to: "/etc/ca.pem")
        played.pass(seconds: 0.5)
        #expect(files.look() == ["ca.pem"])
        #expect(text == "two")
        #expect(files["ca.pem"].version > version)
    }

    struct Replacement: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let replace: @Sendable (inout PlayedFiles.File) -> Void
    }

    static let replacements = [
        Replacement(testDescription: "another inode") { $0.number = 2 },
        Replacement(testDescription: "another time of change") { $0.changedAt += 1 },
        Replacement(testDescription: "another size") { $0.content = "three" },
    ]

    @Test(
        "Each way to replace a file is noticed, even with the same size and time", arguments: replacements)
    mutating func replaced(_ replacement: Replacement) {
        played.change { state in
            state.files["/etc/ca.pem"]?.content = "two"
            state.files["/etc/ca.pem"].map { file in
                var file = file
                replacement.replace(&file)
                state.files["/etc/ca.pem"] = file
            }
        }
        #expect(files.look() == ["ca.pem"])
        #expect(text != "one")
    }

    @Test("The same content in a new file keeps its version")
    mutating func sameContent() {
        let version = files["ca.pem"].version
        played.change { $0.files["/etc/ca.pem"]?.number = 7 }
        #expect(files.look().isEmpty)
        #expect(files["ca.pem"].version == version)
        #expect(played.readings == 2)
    }

    @Test("Changed permissions are reported")
    mutating func permissions() {
        played.change { state in
            state.files["/etc/ca.pem"]?.permissions = [.ownerReadWrite, .groupRead]
            state.files["/etc/ca.pem"]?.changedAt += 1
        }
        #expect(files.look() == ["ca.pem"])
        #expect(files["ca.pem"].permissions == [.ownerReadWrite, .groupRead])
    }

    @Test("A file that was just written is not read for a tenth of a second, then checked again")
    mutating func halfWritten() {
        played.write("tw", to: "/etc/ca.pem")
        played.pass(seconds: 0.05)
        #expect(files.look().isEmpty)
        #expect(files.isChanging)
        #expect(text == "one")
        played.write("two", to: "/etc/ca.pem")
        played.pass(seconds: 0.1)
        #expect(files.look() == ["ca.pem"])
        #expect(!files.isChanging)
        #expect(text == "two")
    }

    @Test("A file that changes back before it is read is not read")
    mutating func changedBack() {
        let former = played.now - 60_000_000_000
        played.write("two", to: "/etc/ca.pem")
        #expect(files.look().isEmpty)
        #expect(files.isChanging)
        played.change { $0.files["/etc/ca.pem"] = .init(content: "one", changedAt: former) }
        #expect(files.look().isEmpty)
        #expect(!files.isChanging)
    }

    @Test("A file that changes during the read is read again at the next check")
    mutating func torn() {
        played.write("two", to: "/etc/ca.pem")
        played.change { $0.files["/etc/ca.pem"]?.isBusy = true }
        played.pass(seconds: 1)
        #expect(files.look().isEmpty)
        #expect(text == "one")
        played.change { $0.files["/etc/ca.pem"]?.isBusy = false }
        #expect(files.look() == ["ca.pem"])
        #expect(text == "two")
    }

    @Test("A file that keeps changing is reported after five seconds")
    mutating func restless() {
        var told: [Int] = []
        for second in 0..<8 {
            played.write("\(second)", to: "/etc/ca.pem")
            if files.look() == ["ca.pem"] { told.append(second) }
            played.pass(seconds: 1)
        }
        #expect(told == [5])
        #expect(files["ca.pem"].failure?.reason == "it is being changed")
        #expect(text == "one")
    }

    @Test("Two writes within one tick of the file system's clock are both noticed")
    mutating func sameTick() {
        // The file system stores times in whole seconds.
        played.change { $0.files["/etc/ca.pem"] = .init(content: "two", changedAt: $0.now) }
        played.pass(seconds: 0.5)
        #expect(files.look() == ["ca.pem"])
        played.change { $0.files["/etc/ca.pem"]?.content = "six" }
        played.pass(seconds: 1)
        #expect(files.look() == ["ca.pem"])
        #expect(text == "six")
        let readings = played.readings
        played.pass(seconds: 1)
        for _ in 0..<5 { #expect(files.look().isEmpty) }
        #expect(played.readings == readings + 1)
    }

    @Test("A clock that is set back makes no difference")
    mutating func clockSetBack() {
        played.pass(seconds: -3600)
        #expect(files.look().isEmpty)
        played.write("two", to: "/etc/ca.pem")
        played.pass(seconds: -1)
        #expect(files.look() == ["ca.pem"])
        let readings = played.readings
        #expect(files.look().isEmpty)
        #expect(played.readings == readings)
    }

    struct Fault: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let reason: String
        let isOpened: Bool
        let break_: @Sendable (inout PlayedFiles.State) -> Void
    }

    static let faults = [
        Fault(testDescription: "no file", reason: "No such file or directory", isOpened: false) {
            $0.files["/etc/ca.pem"] = nil
        },
        Fault(testDescription: "a directory", reason: "it is a directory", isOpened: false) {
            $0.files["/etc/ca.pem"]?.kind = .directory
        },
        Fault(testDescription: "a pipe", reason: "it is no regular file", isOpened: false) {
            $0.files["/etc/ca.pem"]?.kind = .other
        },
        Fault(testDescription: "a large file", reason: "it is larger than 1 MiB", isOpened: false) {
            $0.files["/etc/ca.pem"]?.content = String(repeating: "x", count: (1 << 20) + 1)
        },
        Fault(testDescription: "a locked file", reason: "Permission denied", isOpened: true) {
            $0.files["/etc/ca.pem"]?.isLocked = true
            $0.files["/etc/ca.pem"]?.changedAt += 1
        },
    ]

    @Test("An unreadable file keeps its last content, is reported once, and tried at each check", arguments: faults)
    mutating func fault(_ fault: Fault) {
        let (good, readings, start) = (files["ca.pem"], played.readings, played.now / 1_000_000_000)
        played.change(fault.break_)
        #expect(files.look() == ["ca.pem"])
        #expect(files["ca.pem"].failure == MaterialFailure(fault.reason, since: start))
        #expect(files["ca.pem"].version == good.version)
        #expect(text == "one")
        played.pass(seconds: 3)
        #expect(files.look().isEmpty)
        #expect(played.readings == readings + (fault.isOpened ? 2 : 0))
        // Another failure follows. `since` keeps the time of the first one.
        played.change { $0.files = [:] }
        _ = files.look()
        #expect(files["ca.pem"].failure == MaterialFailure("No such file or directory", since: start))
        played.change { $0.files["/etc/ca.pem"] = .init(content: "one", number: 9, changedAt: 1) }
        #expect(files.look() == ["ca.pem"])
        #expect(files["ca.pem"].failure == nil)
        #expect(files["ca.pem"].version == good.version)
    }

    @Test("A file that appears later is read")
    mutating func later() {
        files.use("later.pem")
        #expect(files["later.pem"].content == nil)
        #expect(files["later.pem"].version == 0)
        #expect(files["later.pem"].failure?.reason == "No such file or directory")
        played.write("here", to: "/etc/later.pem")
        // The file has no content in force, so it is read although it may still be written.
        #expect(files.look() == ["later.pem"])
        #expect(files["later.pem"].content != nil)
        #expect(files["later.pem"].version > files["ca.pem"].version)
    }

    @Test("A forced check reads unchanged files, and files that are being written")
    mutating func forced() {
        #expect(files.look(isForced: true).isEmpty)
        #expect(played.readings == 2)
        played.write("two", to: "/etc/ca.pem")
        #expect(files.look(isForced: true) == ["ca.pem"])
    }

    @Test("All users of a path share one watch, which ends with the last user")
    mutating func users() {
        files.use("ca.pem")
        #expect(played.readings == 1)
        files.release("ca.pem")
        #expect(text == "one")
        files.release("ca.pem")
        #expect(text == nil)
        let marks = played.marks
        #expect(files.look().isEmpty)
        #expect(played.marks == marks)
        files.release("ca.pem")
    }

    @Test("After a change of the directory, relative paths name other files")
    mutating func directory() {
        played.change { $0.files["/srv/ca.pem"] = .init(content: "other", number: 5, changedAt: 1) }
        files.directory = "/srv"
        #expect(files.look() == ["ca.pem"])
        #expect(text == "other")
    }
}
