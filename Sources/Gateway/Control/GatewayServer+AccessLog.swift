import ConfigModel
import SystemPackage

struct AccessLogTarget: Equatable {
    /// The path of the file, or `-` for the standard output. Nil means that there is no access log.
    var path: String?
    var format = AccessLog.Format.json
}

extension GatewayServer {
    /// Relative paths in the settings start at `base`.
    func setAccessLog(_ base: FilePath) {
        var target = AccessLogTarget(format: compiler.settings.accessLog.format)
        switch compiler.settings.accessLog.destination {
        case .none: break
        case .standardOutput: target.path = "-"
        case .file(let path): target.path = base.pushing(FilePath(path)).string
        }
        guard target != accessLogTarget else { return }
        accessLogTarget = target
        reopenAccessLog()
    }

    /// Opens the access log. If the log is open, it is opened again, since log rotation may have moved the file. If
    /// opening fails, workers still write to the old file, and the control side tries again every second.
    ///
    /// Another path gets a sink of its own. The former sink closes when the requests that were logged there have ended.
    func reopenAccessLog() {
        guard let path = accessLogTarget.path else {
            accessLog = nil
            accessLogPath = nil
            accessLogFailure = nil
            return tellOfAccessLog()
        }
        do {
            let file = path == "-" ? LogFile.standardOutput : try LogFile.open(path: path)
            let endsWithinLine = file.endsWithinLine(path: path)
            if let accessLog, accessLogPath == path {
                accessLog.sink.move(to: file, endsWithinLine: endsWithinLine)
            } else {
                let sink = try AccessLogSink(file, endsWithinLine: endsWithinLine, counting: status.lostLogLines)
                accessLogSinks.removeAll(where: \.isDone)
                accessLogSinks.append(sink)
                accessLog = AccessLogHold(sink)
                accessLogPath = path
            }
        } catch {
            let reason = "the access log '\(path)' can't be opened: \(error)"
            if accessLogFailure != reason {
                log.error(reason)
                nextHeartbeat = 0
            }
            accessLogFailure = reason
            return
        }
        if accessLogFailure != nil {
            log.info("the access log is as it should be again")
            nextHeartbeat = 0
        }
        accessLogFailure = nil
        tellOfAccessLog()
    }

    private func tellOfAccessLog() {
        for worker in workers { worker.mailbox.post(.accessLog(accessLog, accessLogTarget.format)) }
    }

    /// Called every second. Opens the access log again if the log can't be written or was deleted, and reports lost
    /// lines.
    func watchAccessLog(_ now: Int64) {
        if accessLogFailure != nil {
            reopenAccessLog()
        } else if accessLog?.sink.isDeleted ?? false {
            log.warning("the access log was deleted; the gateway creates it again")
            reopenAccessLog()
        }
        let failure = accessLog?.sink.failure.map(SystemFailure.text)
        guard let word = accessLogTrouble.look(failure: failure, lost: status.lostLogLines.count, at: now) else {
            return
        }
        switch word {
        case .lasts(let text): log.error(text)
        case .over(let text): log.info(text)
        }
        nextHeartbeat = 0
    }

    /// Writes the remaining lines of the access log. Called after all workers have ended.
    func endAccessLog() {
        let lost = status.lostLogLines.count
        for sink in accessLogSinks { sink.close() }
        for sink in accessLogSinks { sink.waitUntilDone() }
        let count = status.lostLogLines.count - lost
        if count > 0 { log.error("at the end \(count) lines of the access log could not be written") }
    }
}
