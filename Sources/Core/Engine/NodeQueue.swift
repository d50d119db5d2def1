/// Nodes of a run in order of arrival; nodes that no longer belong are dropped when they reach the front.
///
/// Appending and reading the front take constant time on average.
struct NodeQueue: Sendable {
    private var nodes: [Int] = []
    /// The number of nodes dropped from the front of `nodes`.
    private var head = 0

    mutating func append(_ node: Int) { nodes.append(node) }

    /// The first node that `belongs`, which stays in the queue; those before it are dropped.
    mutating func first(where belongs: (Int) -> Bool) -> Int? {
        while head < nodes.count {
            if belongs(nodes[head]) { return nodes[head] }
            head += 1
            if head >= 64, head * 2 > nodes.count {
                nodes.removeFirst(head)
                head = 0
            }
        }
        removeAll()
        return nil
    }

    /// Whether any node `belongs`; takes time linear in the queue.
    func contains(where belongs: (Int) -> Bool) -> Bool { nodes[head...].contains(where: belongs) }

    mutating func removeAll() {
        guard !nodes.isEmpty else { return }
        nodes.removeAll(keepingCapacity: nodes.count <= 64)
        head = 0
    }
}
