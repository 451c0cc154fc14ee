// A pid file: a process id under an fcntl write lock, which the kernel drops when its holder dies, however it dies. So a stale
// file never keeps anybody from starting, and clients see from the lock whether the process is alive.

internal import Glibc

/// A pid file that this process holds, until it exits or calls `release`.
final class PidFile {
    let path: String
    private var descriptor: Int32

    /// - Parameter directory: what to name as held when another process holds the lock; the file by default.
    init(path: String, directory: String? = nil) throws(RunDirectoryError) {
        self.path = path
        let opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard opened >= 0 else { throw .cannotOpenPidFile(path: path, reason: String(cString: strerror(errno))) }
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        if fcntl(opened, F_SETLK, &lock) != 0 {
            var holder = flock()
            holder.l_type = Int16(F_WRLCK)
            holder.l_whence = Int16(SEEK_SET)
            _ = fcntl(opened, F_GETLK, &holder)
            close(opened)
            throw .held(path: directory ?? path, pid: holder.l_pid)
        }
        let line = "\(getpid())\n"
        guard ftruncate(opened, 0) == 0, pwrite(opened, line, line.utf8.count, 0) == line.utf8.count else {
            let reason = String(cString: strerror(errno))
            close(opened)
            throw .cannotOpenPidFile(path: path, reason: reason)
        }
        descriptor = opened
    }

    /// Removes the file and drops the lock. Idempotent.
    func release() {
        guard descriptor >= 0 else { return }
        unlink(path)
        close(descriptor)
        descriptor = -1
    }
}
