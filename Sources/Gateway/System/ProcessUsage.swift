import Glibc

/// The resources that this process uses, for the standard process metrics of Prometheus
/// (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics).
struct ProcessUsage {
    /// CPU time, in seconds.
    let cpuSeconds: Double
    /// Memory in bytes: all mapped memory, and the resident part of it. Nil without /proc.
    let virtualBytes: Int?
    let residentBytes: Int?
    /// The number of open descriptors; nil without /proc.
    let openDescriptors: Int?
    let maxDescriptors: UInt64

    static var current: ProcessUsage {
        let time = SystemClock.read(CLOCK_PROCESS_CPUTIME_ID)
        // /proc/self/statm begins with the total and the resident size, in pages (proc_pid_statm(5)).
        let memory = (try? SmallFile.read("/proc/self/statm")).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let pages = memory.split(separator: " ").prefix(2).compactMap {
            Int($0).map { $0 * sysconf(Int32(_SC_PAGESIZE)) }
        }
        return ProcessUsage(
            cpuSeconds: Double(time.tv_sec) + Double(time.tv_nsec) / 1e9, virtualBytes: pages.first,
            residentBytes: pages.count > 1 ? pages[1] : nil, openDescriptors: countDescriptors(),
            maxDescriptors: UInt64(DescriptorLimit.limit?.rlim_cur ?? 0))
    }

    private static func countDescriptors() -> Int? {
        // Only this function uses the directory stream, which it closes at its end.
        guard let directory = unsafe opendir("/proc/self/fd") else { return nil }
        defer { unsafe closedir(directory) }
        var count = 0
        while unsafe readdir(directory) != nil { count += 1 }
        // Entries that do not count: ".", "..", and the descriptor of the directory itself.
        return max(0, count - 3)
    }
}
