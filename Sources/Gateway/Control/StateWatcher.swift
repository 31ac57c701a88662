import Glibc

final class StateWatcher {
    init(path: String) throws {}
    func wait() { sleep(1) }
}
