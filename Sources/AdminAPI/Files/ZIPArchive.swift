import CZlib

/// A ZIP archive of a few small files, stored without compression (APPNOTE.TXT 6.3.10).
struct ZIPArchive {
    struct Entry {
        /// ASCII, with '/' between folders.
        let name: String
        let content: [UInt8]
    }

    /// The archive's bytes. All entries have the time `time`, in seconds since 1970. Together they are far below 4 GiB.
    static func bytes(of entries: [Entry], time: Int64) -> [UInt8] {
        var archive: [UInt8] = []
        var directory: [UInt8] = []
        for entry in entries {
            let offset = archive.count
            let common = fields(of: entry, time)
            archive += number(0x0403_4B50, 4) + common + Array(entry.name.utf8) + entry.content
            directory += number(0x0201_4B50, 4) + number(20, 2) + common
            // No comment, disk 0, no attributes.
            directory += number(0, 2) + number(0, 2) + number(0, 2) + number(0, 4) + number(UInt32(offset), 4)
            directory += Array(entry.name.utf8)
        }
        let count = number(UInt32(entries.count), 2)
        return archive + directory + number(0x0605_4B50, 4) + number(0, 4) + count + count
            + number(UInt32(directory.count), 4) + number(UInt32(archive.count), 4) + number(0, 2)
    }

    /// The fields that a file's own header and its header in the directory share.
    private static func fields(of entry: Entry, _ time: Int64) -> [UInt8] {
        // The call only reads the bytes.
        let checksum = unsafe entry.content.withUnsafeBufferPointer {
            unsafe UInt32(truncatingIfNeeded: crc32(0, $0.baseAddress, UInt32($0.count)))
        }
        let size = number(UInt32(entry.content.count), 4)
        // Version 2.0, no flags, stored.
        return number(20, 2) + number(0, 2) + number(0, 2) + number(dosTime(time), 4) + number(checksum, 4) + size
            + size
            + number(UInt32(entry.name.utf8.count), 2) + number(0, 2)
    }

    /// A time as MS-DOS writes it: the date in the upper 16 bits, and the time of day in the lower 16, in units of two
    /// seconds.
    private static func dosTime(_ seconds: Int64) -> UInt32 {
        // Days since 1970 to a date (https://howardhinnant.github.io/date_algorithms.html#civil_from_days).
        let days = seconds / 86_400 + 719_468
        let era = days / 146_097
        let day = days - era * 146_097
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365
        let dayOfYear = day - (365 * year + year / 4 - year / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        let date = (year + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
        guard (1980...2107).contains(date.0) else { return 0x0021_0000 }
        let time = seconds % 86_400
        let upper = UInt32(date.0 - 1980) << 9 | UInt32(date.1) << 5 | UInt32(date.2)
        return upper << 16 | UInt32(time / 3600) << 11 | UInt32(time % 3600 / 60) << 5 | UInt32(time % 60 / 2)
    }

    /// A number in `count` bytes, the least significant first.
    private static func number(_ value: UInt32, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) }
    }
}
