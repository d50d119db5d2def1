import CJemalloc

/// The memory allocator of the process, jemalloc.
///
/// Linking it replaces the C library's allocator. Entries and requests are allocated on one thread and freed
/// on another all the time; jemalloc does this with less work and returns fewer pages to the system.
package enum Allocator {
    /// The allocator's version, such as `5.3.0`; nil if another allocator was preloaded.
    package static var version: String? {
        var text: UnsafePointer<CChar>?
        var size = MemoryLayout<UnsafePointer<CChar>?>.size
        let code = withUnsafeMutablePointer(to: &text) { mallctl("version", $0, &size, nil, 0) }
        guard code == 0, let text else { return nil }
        return String(String(cString: text).prefix { $0 != "-" })
    }
}
