import Ports
import Values

/// Hands out a case's answers, each as often as it says.
struct MockBook {
    private let mocks: [Mock]
    /// For each mock, the answers already given, by the place that they went to.
    private var given: [[String: Int]]

    init(_ mocks: [Mock]) {
        self.mocks = mocks
        given = mocks.map { _ in [:] }
    }

    /// The next answer to that request or call; nil where none is left.
    ///
    /// Those for its step go before those for its address.
    mutating func answer(to question: Simulation.Question) -> MockAnswer? {
        // What is said of one item goes before what is said of all of them.
        let exact = mocks.indices.filter { isForStep(mocks[$0], question.step, exactly: true) }
        let byStep =
            exact.isEmpty
            ? mocks.indices.filter { isForStep(mocks[$0], question.step, exactly: false) } : exact
        let byAddress = mocks.indices.filter { isForAddress(mocks[$0], question) }
        // A case that speaks of a step speaks of all its attempts.
        let ownSteps = byStep.filter { !mocks[$0].isDefault }
        for index in (ownSteps.isEmpty ? byStep : ownSteps) + (ownSteps.isEmpty ? byAddress : []) {
            if let answer = next(index, question.step) { return answer }
        }
        return nil
    }

    /// Those of the case itself that answered nothing.
    var unused: [Mock] {
        mocks.indices.filter { given[$0].isEmpty && !mocks[$0].isDefault }.map { mocks[$0] }
    }

    private mutating func next(_ index: Int, _ step: String) -> MockAnswer? {
        // What stands for a step with items is told item by item; an address is one for all who ask.
        var place = step
        if case .request = mocks[index].target { place = "" }
        var left = given[index][place] ?? 0
        for answer in mocks[index].answers {
            if left < answer.times {
                given[index][place, default: 0] += 1
                return answer
            }
            left -= answer.times
        }
        // What stands for an address goes on answering; what stands for a step is told try by try.
        guard case .request = mocks[index].target else { return nil }
        given[index][place, default: 0] += 1
        return mocks[index].answers.last
    }

    private func isForStep(_ mock: Mock, _ path: String, exactly: Bool) -> Bool {
        guard case .step(let step) = mock.target else { return false }
        return exactly ? step.hasSameBytes(as: path) : StepPath.matches(step, path)
    }

    private func isForAddress(_ mock: Mock, _ question: Simulation.Question) -> Bool {
        guard case .request(let sent) = question, case .request(let method, let url) = mock.target,
            method.hasSameBytes(as: sent.request.method)
        else { return false }
        if url.hasSuffix("*") { return sent.request.url.hasPrefix(String(url.dropLast())) }
        return SentAddress.isSame(url, as: sent.request.url)
    }
}
