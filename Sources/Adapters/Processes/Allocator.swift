import CJemalloc

/// The memory allocator that the process runs on.
///
/// Linking it is what puts it in the place of the C library's: entries and requests are made on one thread
/// and freed on another all the time, which it does with less work and without handing pages back and forth.
package enum Allocator {
    /// Its version, such as `5.3.0`; nil where another allocator was put before it from outside.
    package static var version: String? {
        var text: UnsafePointer<CChar>?
        var size = MemoryLayout<UnsafePointer<CChar>?>.size
        let code = withUnsafeMutablePointer(to: &text) { mallctl("version", $0, &size, nil, 0) }
        guard code == 0, let text else { return nil }
        return String(String(cString: text).prefix { $0 != "-" })
    }
}
