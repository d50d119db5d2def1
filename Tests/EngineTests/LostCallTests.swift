import Engine
import Ports
import Testing
import Values

@Suite("Calls that lose a race")
struct LostCallTests {
    private static let race = """
        steps:
          book:
            strategy: {type: race, over: [a, b]}
            call: book-<< item >>
            compensate: {request: {method: POST, url: "https://a.example/undo/<< item >>"}}
        """

    /// Both children are open, and the second one has just won.
    private static func won() throws -> Play {
        var play = try Play(race)
        play.begin()
        play.called("book/1", child: 11)
        play.called("book/2", child: 12)
        play.childEnds("book/2", child: 12, RunOutcome(status: .succeeded))
        #expect(play.cancelledChildren == [RunID(number: 11)])
        #expect(play.finished.isEmpty)
        return play
    }

    @Test("a child that succeeds before its cancel arrives is undone before the run ends, also after a crash")
    func lateSuccessIsUndone() throws {
        for crashes in [false, true] {
            var play = try Self.won()
            if crashes { try play.crash() }
            play.childEnds("book/1", child: 11, RunOutcome(status: .succeeded))
            #expect(play.sent.map(\.request.url) == ["https://a.example/undo/a"])
            if crashes {
                try play.crash()
                #expect(play.sent.map(\.request.url) == ["https://a.example/undo/a"])
                // The same end, told once more.
                play.childEnds("book/1", child: 11, RunOutcome(status: .succeeded))
                #expect(play.sent.count == 1)
            }
            #expect(play.finished.isEmpty)
            play.answer("book/1/compensate")
            #expect(play.finished.map(\.status) == [.succeeded])
            #expect(play.finished.first?.compensation == .succeeded)
        }
    }

    @Test("a child that is cancelled or fails has undone itself, and nothing is undone for it")
    func cancelledChild() throws {
        for status in [RunOutcome.Status.cancelled, .failed] {
            var play = try Self.won()
            play.childEnds("book/1", child: 11, RunOutcome(status: status))
            #expect(play.sent.isEmpty)
            #expect(play.finished.map(\.status) == [.succeeded])
            #expect(play.finished.first?.compensation == nil)
        }
    }

    @Test("so is a child that was not known yet when the race was won")
    func unknownChild() throws {
        var play = try Play(Self.race)
        play.begin()
        play.called("book/2", child: 12)
        play.childEnds("book/2", child: 12, RunOutcome(status: .succeeded))
        play.called("book/1", child: 11)
        #expect(play.cancelledChildren == [RunID(number: 11)])
        play.childEnds("book/1", child: 11, RunOutcome(status: .succeeded))
        #expect(play.sent.map(\.request.url) == ["https://a.example/undo/a"])
        play.answer("book/1/compensate")
        #expect(play.finished.first?.compensation == .succeeded)
    }
}
