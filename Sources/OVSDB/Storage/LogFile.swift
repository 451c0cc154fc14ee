// The standalone OVSDB log: records of
//
//     OVSDB JSON <bytes> <sha1 of the bytes>\n<bytes of JSON, newline included>
//
// the first being the schema, the others transactions. Reading stops at the first record that is not whole; what is behind
// the last good one is cut off before the first write. A record of which only a part could be written is cut off too, so
// that a failing disk never leaves half a transaction.

internal import Glibc

/// An open log file.
///
/// ## Thread safety
/// None: one executor owns it.
final class LogFile {
    static let magic = "OVSDB JSON "
    /// A header is "OVSDB JSON " + 20 digits + " " + 40 digits + "\n" at most.
    private static let headerBytes = 11 + 20 + 1 + 40 + 1

    let path: String
    /// The name it was given by, for messages.
    private let name: String
    private(set) var file: OpenFile
    private var descriptor: Int32 { file.descriptor }
    /// End of the last good record.
    private(set) var endOffset = 0
    /// Whether the file may be longer than `endOffset`, or a write may have failed half way.
    private var hasTail = false
    private let recordLimit: Int
    /// Whether the file could be opened for reading only.
    private(set) var isReadOnly = false

    /// Opens an existing log.
    init(reading path: String, name: String, recordLimit: Int) throws(StorageError) {
        self.path = path
        self.name = name
        self.recordLimit = recordLimit
        var descriptor = open(path, O_RDWR | O_CLOEXEC)
        if descriptor < 0, errno == EACCES || errno == EROFS {
            // Readable content is still worth serving; writes will say what is wrong.
            descriptor = open(path, O_RDONLY | O_CLOEXEC)
            isReadOnly = true
        }
        guard descriptor >= 0 else { throw .system("\(path): cannot open the database file: \(systemErrorText())") }
        file = OpenFile(descriptor)
    }

    /// Reads an open log besides its owner.
    init(sharing file: OpenFile, path: String, recordLimit: Int) {
        self.path = path
        name = path
        self.recordLimit = recordLimit
        self.file = file
        isReadOnly = true
    }

    /// Creates a log; fails if there is a file.
    init(creating path: String, recordLimit: Int) throws(StorageError) {
        self.path = path
        name = path
        self.recordLimit = recordLimit
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw .system("\(path): cannot create the database file: \(systemErrorText())") }
        file = OpenFile(descriptor)
    }

    /// What reading the whole file gave.
    struct Content {
        var records: [JSON] = []
        /// Why reading stopped before the end of the file, if it did.
        var tailProblem: String?
    }

    /// Reads all whole records, and remembers where they end.
    ///
    /// - Parameters:
    ///   - limit: how much of the file to look at; nil for all of it
    ///   - restart: called before everything is given to `body` again, because the last record could not be applied as a whole
    /// - Throws: if the file is no log at all, or its end is not where a crash could have left it
    func readAll(
        limit: Int? = nil, restart: () -> Void = {}, _ body: (JSON) throws(OVSDBError) -> Void
    ) throws(StorageError) -> String? {
        var bytes = try contents()
        if let limit { bytes.removeLast(max(0, bytes.count - limit)) }
        guard !bytes.isEmpty else { throw .corrupt("\(path): file is empty, not an OVSDB database") }
        var offset = 0
        var number = 0
        while offset < bytes.count {
            let record: (json: JSON, end: Int)
            do throws(RecordProblem) {
                record = try parseRecord(bytes, offset)
            } catch {
                if number == 0 { throw .corrupt("\(path): \(error.text) at offset \(offset); this is not an OVSDB database file") }
                if let later = laterRecord(bytes, offset) {
                    throw .corrupt(
                        "\(path): \(error.text) at offset \(offset), but whole records follow at offset \(later): the file is damaged in its middle; restore it from a copy"
                    )
                }
                endOffset = offset
                hasTail = true
                return "\(error.text) at offset \(offset)"
            }
            do throws(OVSDBError) {
                try body(record.json)
            } catch {
                guard number > 0, record.end == bytes.count else {
                    throw .corrupt("\(path): record \(number) at offset \(offset) cannot be applied: \(error)")
                }
                // The field's server passes over a last record that makes no sense, too. Parts of it may have been taken in.
                restart()
                let tail = try readAll(limit: offset, restart: restart, body)
                hasTail = true
                return tail ?? "the last record, at offset \(offset), cannot be applied: \(error)"
            }
            offset = record.end
            endOffset = offset
            number += 1
        }
        return nil
    }

    private struct RecordProblem: Error { var text: String }

    private func parseRecord(_ bytes: [UInt8], _ start: Int) throws(RecordProblem) -> (json: JSON, end: Int) {
        let limit = min(bytes.count, start + LogFile.headerBytes)
        guard let newline = bytes[start..<limit].firstIndex(of: UInt8(ascii: "\n")) else {
            throw RecordProblem(text: limit == bytes.count ? "truncated record header" : "record header is not a log record's")
        }
        let header = bytes[start..<newline]
        // The words are the field's: operators and tests look for them.
        let unreadable = RecordProblem(
            text:
                "syntax error: \(name): parse error at offset \(start) in header line \"\(String(decoding: header, as: UTF8.self))\", no log record"
        )
        guard header.starts(with: LogFile.magic.utf8) else {
            if header.starts(with: "OVSDB CLUSTER ".utf8) {
                throw RecordProblem(text: "file is a clustered database, which this server does not serve")
            }
            throw unreadable
        }
        let parts = header.dropFirst(LogFile.magic.utf8.count).split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard parts.count == 2, let length = Int(String(decoding: parts[0], as: UTF8.self)), length > 0, length <= recordLimit,
            parts[1].count == 40
        else { throw unreadable }
        let data = newline + 1
        guard bytes.count - data >= length else {
            throw RecordProblem(text: "\(bytes.count - data) bytes of data where \(length) were expected")
        }
        let digest = SHA1.hexadecimal(bytes[data..<(data + length)])
        guard digest.utf8.elementsEqual(parts[1]) else {
            throw RecordProblem(text: "\(length) bytes of data do not have the SHA-1 hash their header states")
        }
        do throws(JSONSyntaxError) {
            return (try JSON.parse(bytes, data..<(data + length), depthLimit: 256), data + length)
        } catch {
            throw RecordProblem(text: "record is not JSON (\(error))")
        }
    }

    /// Where a whole record follows a damaged one. A crash never leaves that: it only cuts the end.
    private func laterRecord(_ bytes: [UInt8], _ damaged: Int) -> Int? {
        let magic = Array(LogFile.magic.utf8)
        var offset = damaged + 1
        while offset + magic.count <= bytes.count {
            guard let next = bytes[offset...].firstIndex(of: magic[0]) else { return nil }
            offset = next
            if bytes[offset...].starts(with: magic) {
                do throws(RecordProblem) {
                    _ = try parseRecord(bytes, offset)
                    return offset
                } catch {}
            }
            offset += 1
        }
        return nil
    }

    private func contents() throws(StorageError) -> [UInt8] {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system("\(path): cannot examine the database file: \(systemErrorText())") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .corrupt("\(path): not a regular file") }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(status.st_size))
        var offset = 0
        let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { chunk.deallocate() }
        while true {
            let count = pread(descriptor, chunk.baseAddress!, chunk.count, off_t(offset))
            if count < 0 {
                if errno == EINTR { continue }
                throw .system("\(path): cannot read the database file: \(systemErrorText())")
            }
            if count == 0 { return bytes }
            bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: chunk[..<count]))
            offset += count
        }
    }

    /// A record as it stands in the file.
    static func encode(_ json: JSON) -> [UInt8] {
        var writer = JSONWriter(exact: true)
        writer.write(json)
        var data = writer.bytes
        data.append(UInt8(ascii: "\n"))
        var record = Array("\(magic)\(data.count) \(SHA1.hexadecimal(data))\n".utf8)
        record.append(contentsOf: data)
        return record
    }

    /// Writes one record behind the last good one. After a failure the file ends where it did.
    func append(_ json: JSON, synchronize: Bool) throws(OVSDBError) {
        guard !isReadOnly else { throw OVSDBError("I/O error", "\(path) is read-only") }
        if hasTail { try cutTail() }
        let record = LogFile.encode(json)
        var failure = write(record)
        if failure == nil, synchronize, fdatasync(descriptor) != 0 { failure = errno }
        if let failure {
            hasTail = true
            // Best effort now, and again before the next write.
            if ftruncate(descriptor, off_t(endOffset)) == 0 { hasTail = false }
            throw OVSDBError("I/O error", "\(path): write failed (\(systemErrorText(failure)))")
        }
        endOffset += record.count
    }

    private func cutTail() throws(OVSDBError) {
        guard ftruncate(descriptor, off_t(endOffset)) == 0 else {
            throw OVSDBError("I/O error", "\(path): cannot truncate damaged end of file (\(systemErrorText()))")
        }
        hasTail = false
    }

    /// Writes at `endOffset`; the errno of a failure.
    private func write(_ bytes: [UInt8]) -> Int32? {
        bytes.withUnsafeBytes { buffer -> Int32? in
            var done = 0
            while done < buffer.count {
                let count = pwrite(descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(endOffset + done))
                if count < 0 {
                    if errno == EINTR { continue }
                    return errno
                }
                if count == 0 { return ENOSPC }
                done += count
            }
            return nil
        }
    }

    func synchronize() throws(OVSDBError) {
        if let error = LogFile.synchronize(file, path) { throw error }
    }

    /// Makes everything written to `file` survive a crash of the machine; what the system says if it cannot. Any thread may ask.
    static func synchronize(_ file: OpenFile, _ path: String) -> OVSDBError? {
        fdatasync(file.descriptor) == 0 ? nil : OVSDBError("I/O error", "\(path): write failed (\(systemErrorText()))")
    }

    /// Ends the log at `offset`, behind a record.
    func cut(to offset: Int) {
        endOffset = offset
        // If that fails it is tried again before the next write.
        hasTail = ftruncate(descriptor, off_t(offset)) != 0
    }

    /// Appends whole records of another log as they are.
    func append(from source: OpenFile, _ range: Range<Int>) throws(OVSDBError) {
        var offset = range.lowerBound
        var bytes = [UInt8](repeating: 0, count: min(1 << 20, max(1, range.count)))
        while offset < range.upperBound {
            let wanted = min(bytes.count, range.upperBound - offset)
            let count = bytes.withUnsafeMutableBytes { pread(source.descriptor, $0.baseAddress!, wanted, off_t(offset)) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw OVSDBError("I/O error", "\(path): read failed (\(count < 0 ? systemErrorText() : "end of file"))")
            }
            if let failure = write(Array(bytes[..<count])) {
                throw OVSDBError("I/O error", "\(path): write failed (\(systemErrorText(failure)))")
            }
            offset += count
            endOffset += count
        }
    }

    /// Writes a fresh log beside this one and puts it in this one's place; either the old or the new one is there at any time.
    func replace(by records: [JSON]) throws(OVSDBError) {
        let fresh = try LogFile.beside(path, recordLimit: recordLimit)
        do throws(OVSDBError) {
            for record in records { try fresh.append(record, synchronize: false) }
            try fresh.synchronize()
            try fresh.take(the: path, of: file)
        } catch {
            unlink(fresh.path)
            throw error
        }
        adopt(fresh)
    }

    /// An empty log that is to take the place of the one at `path`.
    static func beside(_ path: String, recordLimit: Int) throws(OVSDBError) -> LogFile {
        let temporary = path + ".tmp"
        unlink(temporary)
        do throws(StorageError) {
            return try LogFile(creating: temporary, recordLimit: recordLimit)
        } catch {
            throw OVSDBError("I/O error", error.description)
        }
    }

    /// Takes the name, owner and mode of a file.
    func take(the name: String, of old: OpenFile) throws(OVSDBError) {
        var status = stat()
        if fstat(old.descriptor, &status) == 0 {
            _ = fchmod(descriptor, status.st_mode & 0o7777)
            _ = fchown(descriptor, status.st_uid, status.st_gid)
        }
        guard rename(path, name) == 0 else {
            throw OVSDBError("I/O error", "\(name): cannot replace the database file (\(systemErrorText()))")
        }
        LogFile.synchronizeDirectory(of: name)
    }

    /// Goes on in the file that has taken this one's place.
    func adopt(_ fresh: LogFile) {
        file = fresh.file
        endOffset = fresh.endOffset
        hasTail = false
    }

    /// Makes a file's name survive a crash of the machine. Best effort: some file systems refuse it.
    static func synchronizeDirectory(of path: String) {
        let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        _ = fsync(descriptor)
        close(descriptor)
    }
}
