internal import CDPDK
internal import Glibc

/// Calls a C function that writes a reason into a buffer.
func withReason<Result>(_ body: (UnsafeMutablePointer<CChar>, Int) -> Result) -> (result: Result, reason: String) {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer in
        buffer.initialize(repeating: 0)
        let result = body(buffer.baseAddress!, buffer.count)
        return (result, String(cString: buffer.baseAddress!))
    }
}

/// The text of a fixed-size C array that ends in a zero.
func text<Bytes>(of bytes: Bytes) -> String {
    withUnsafeBytes(of: bytes) { raw in String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self) }
}

/// What an error number says.
func errorText(_ code: Int) -> String { String(cString: strerror(Int32(truncatingIfNeeded: code < 0 ? -code : code))) }

/// The first whitespace-separated number of a file; nil if there is none.
func numberInFile(_ path: String) -> Int? {
    guard let text = textOfFile(path) else { return nil }
    return Int(text.prefix { $0 != "\n" && $0 != " " })
}

/// The beginning (4 KiB) of a small file of the kernel; nil if it cannot be read.
func textOfFile(_ path: String) -> String? {
    let file = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    return withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer in
        let n = read(file, buffer.baseAddress!, buffer.count)
        return n < 0 ? nil : String(decoding: buffer[..<n], as: UTF8.self)
    }
}

/// Names in a directory; none if it cannot be read.
func namesInDirectory(_ path: String) -> [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
        let name = text(of: entry.pointee.d_name)
        if name != "." && name != ".." { names.append(name) }
    }
    return names
}
