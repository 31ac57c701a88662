import PKI
import SystemPackage

/// The values of stat(2) for a file. If two marks of a path are equal, the path leads to the same file with the same
/// content. One exception: two writes within one tick of the file system's clock can leave the same mark.
package struct FileMark: Sendable, Equatable {
    package enum Kind: Sendable {
        case regular
        case directory
        /// A pipe, a device or a socket, which could block a reader forever.
        case other
    }

    package var device: UInt64
    package var number: UInt64
    package var kind: Kind
    package var permissions: FilePermissions
    package var bytes: Int64
    /// When the content was last written (st_mtim), in nanoseconds since 1970. Programs can set it to any time.
    package var writtenAt: Int64
    /// When content or attributes last changed (st_ctim), in nanoseconds since 1970. Only the system sets it.
    package var changedAt: Int64

    package init(
        device: UInt64, number: UInt64, kind: Kind, permissions: FilePermissions, bytes: Int64, writtenAt: Int64,
        changedAt: Int64
    ) {
        (self.device, self.number, self.kind, self.permissions) = (device, number, kind, permissions)
        (self.bytes, self.writtenAt, self.changedAt) = (bytes, writtenAt, changedAt)
    }
}

/// The content that was read from a file, and the marks of the open file before and after reading.
package struct FileReading: Sendable {
    package let content: SecretBytes
    package let before: FileMark
    package let after: FileMark

    package init(content: SecretBytes, before: FileMark, after: FileMark) {
        (self.content, self.before, self.after) = (content, before, after)
    }
}
