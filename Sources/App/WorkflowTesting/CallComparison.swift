import Engine
import Values
import Workflow

/// Compares calls one by one, in order.
struct CallComparison {
    let expected: [CallExpected]
    let called: [Simulation.Called]
    let mark: Mark

    func differences() -> [Difference] {
        var found: [Difference] = []
        for index in 0..<max(expected.count, called.count) {
            let path = "calls[\(index)]"
            if index >= called.count {
                found.append(
                    Difference(
                        path: path, mark: expected[index].mark,
                        expected: [expected[index].step, expected[index].workflow].compactMap(\.self).joined(
                            separator: ": "), actual: "no further call"))
            } else if index >= expected.count {
                found.append(
                    Difference(
                        path: path, mark: mark, expected: "no further call",
                        actual: "\(called[index].step): \(called[index].call.workflow)"))
            } else {
                found += compare(expected[index], called[index], at: path)
            }
        }
        return found
    }

    private func compare(
        _ expected: CallExpected, _ called: Simulation.Called, at path: String
    ) -> [Difference] {
        var comparison = Comparison(mark: expected.mark)
        if let step = expected.step, !StepPath.matches(step, called.step) {
            comparison.compare(step, called.step, at: "\(path).step")
        }
        if let workflow = expected.workflow {
            comparison.compare(workflow, called.call.workflow, at: "\(path).workflow")
        }
        if let input = expected.input { comparison.compare(input, called.call.input, at: "\(path).input") }
        if let isDetached = expected.isDetached {
            comparison.compare(
                String(isDetached), String(called.call.parent.isDetached), at: "\(path).detach")
        }
        return comparison.differences
    }
}
