import Glibc
import PrivateFiles

/// The resources that this process uses, for the standard process metrics of Prometheus
/// (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics).
struct ProcessUsage {
    let cpuSeconds: Double
    /// The size of all mapped memory. `residentBytes` is the part that is in RAM. Both are in bytes, and nil if /proc
    /// is not available.
    let virtualBytes: Int?
    let residentBytes: Int?
    /// Nil if /proc is not available.
    let openDescriptors: Int?
    let maxDescriptors: UInt64

    static var current: ProcessUsage {
        let time = SystemClock.read(CLOCK_PROCESS_CPUTIME_ID)
        // /proc/self/statm begins with the total size and the resident size, in pages (proc_pid_statm(5)).
        let memory = (try? PrivateFile.read("/proc/self/statm")).map {
            String(decoding: $0.plainCopy(), as: UTF8.self)
        }
        let pages = (memory ?? "").split(separator: " ").prefix(2).compactMap {
            Int($0).map { $0 * sysconf(Int32(_SC_PAGESIZE)) }
        }
        return ProcessUsage(
            cpuSeconds: Double(time.tv_sec) + Double(time.tv_nsec) / 1e9, virtualBytes: pages.first,
            residentBytes: pages.count > 1 ? pages[1] : nil, openDescriptors: countDescriptors(),
            maxDescriptors: UInt64(DescriptorLimit.limit?.rlim_cur ?? 0))
    }

    private static func countDescriptors() -> Int? {
        // This is safe, since only this function uses the directory stream, and closes it at its end.
        guard let directory = unsafe opendir("/proc/self/fd") else { return nil }
        defer { unsafe closedir(directory) }
        var count = 0
        while unsafe readdir(directory) != nil { count += 1 }
        // The entries ".", ".." and the descriptor of the directory itself don't count.
        return max(0, count - 3)
    }
}
