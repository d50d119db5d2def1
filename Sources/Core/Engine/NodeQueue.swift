/// Nodes of a run in the order in which they came; one that no longer belongs is dropped when it is met.
///
/// Appending and taking the first cost the same however long the queue is.
struct NodeQueue: Sendable {
    private var nodes: [Int] = []
    /// Of those in `nodes`, how many have been dropped.
    private var head = 0

    mutating func append(_ node: Int) { nodes.append(node) }

    /// The first that `belongs`, left in its place; those before it are forgotten.
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

    /// Whether there is one that `belongs`; takes as long as the queue is.
    func contains(where belongs: (Int) -> Bool) -> Bool { nodes[head...].contains(where: belongs) }

    mutating func removeAll() {
        guard !nodes.isEmpty else { return }
        nodes.removeAll(keepingCapacity: nodes.count <= 64)
        head = 0
    }
}
