import Values

/// Things that several threads put together.
final class Collected<Element: Sendable>: @unchecked Sendable {
    // Unchecked: `elements` is read and written under `lock`.
    private let lock = Lock()
    private var elements: [Element] = []

    func add(_ element: Element) { lock.withLock { elements.append(element) } }
    var all: [Element] { lock.withLock { elements } }
}
