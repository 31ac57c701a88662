import CFuzzer

// FuzzDriver: the function that each fuzz target's `main.swift` calls.

/// Sharing the variable is safe: it is set once, before libFuzzer starts, and libFuzzer calls back on the same thread.
nonisolated(unsafe) private var target: ([UInt8]) -> Void = { _ in }

/// Calls `take` with each input that libFuzzer makes. Returns the exit status. A trap, a hang or too much memory is a
/// finding.
package func fuzz(_ take: @escaping ([UInt8]) -> Void) -> Int32 {
    // This is safe, since no other code reads the variable yet.
    unsafe target = take
    var argumentCount = CommandLine.argc
    var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
    // This is safe, since the bytes are lent for the call, and the array copies them.
    return unsafe LLVMFuzzerRunDriver(&argumentCount, &arguments) { start, count in
        unsafe target([UInt8](UnsafeBufferPointer(start: start, count: count)))
        return 0
    }
}

/// The result of a reader; nil if it refuses. Its error must be one line that can be shown to people.
package func result<Value>(_ read: () throws -> Value) -> Value? {
    do {
        return try read()
    } catch {
        let text = "\(error)"
        precondition(text.utf8.count < 2000 && text.unicodeScalars.allSatisfy { $0.value >= 0x20 }, "an odd message")
        return nil
    }
}
