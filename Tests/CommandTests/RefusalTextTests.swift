import Testing
import Values

@testable import Commands

/// What a server says beside its message is what a person needs: which member does not fit, which run it was.
@Suite("A server's refusal on the command line")
struct RefusalTextTests {
    private func failure(_ details: Value) -> CommandFailure {
        let value: Value = ["error": ["code": "odd", "message": "it is odd", "details": details]]
        return APIClient(server: "http://s", key: nil).refusal(
            APIAnswer(status: 422, value: value), place: "POST /x")
    }

    @Test(
        "details are shown, a line each",
        arguments: [
            (
                ["has no `id`", "n is not a number"],
                ["  detail: has no `id`", "  detail: n is not a number"]
            ),
            (["run_id": "run_1"], ["  detail: run_id run_1"]),
            ([["line": 3, "message": "a step is odd"]], ["  detail: line 3: a step is odd"]), (.null, []),
        ] as [(Value, [String])])
    func detailsAreShown(details: Value, lines: [String]) {
        let shown = failure(details).text.split(separator: "\n").map(String.init)
        #expect(shown == ["millrace: it is odd", "  where: POST /x"] + lines)
    }

    @Test("with --json they are given as they came")
    func detailsAreGiven() {
        #expect(failure(["run_id": "run_1"]).value["error"]?["details"] == ["run_id": "run_1"])
        #expect(failure(.null).value["error"]?["details"] == .null)
    }
}
