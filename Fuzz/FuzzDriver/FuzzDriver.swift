import CFuzzer

// FuzzDriver: what each fuzz target's `main.swift` calls.

/// Set once, before libFuzzer starts; it calls back on the same thread.
nonisolated(unsafe) private var target: ([UInt8]) -> Void = { _ in }

/// Calls `take` with each input that libFuzzer makes up, and gives the exit status; a trap, a hang or too much memory is
/// a finding.
package func fuzz(_ take: @escaping ([UInt8]) -> Void) -> Int32 {
    // Nothing else reads it yet.
    unsafe target = take
    var argumentCount = CommandLine.argc
    var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
    // The bytes are lent for the call; the array is a copy of them.
    return unsafe LLVMFuzzerRunDriver(&argumentCount, &arguments) { start, count in
        unsafe target([UInt8](UnsafeBufferPointer(start: start, count: count)))
        return 0
    }
}

/// What a reader gives; nil when it refuses, in one line that people can be shown.
package func result<Value>(_ read: () throws -> Value) -> Value? {
    do {
        return try read()
    } catch {
        let text = "\(error)"
        precondition(text.utf8.count < 2000 && text.unicodeScalars.allSatisfy { $0.value >= 0x20 }, "an odd message")
        return nil
    }
}
