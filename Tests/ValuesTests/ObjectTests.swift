import Testing
import Values

@Suite("Objects")
struct ObjectTests {
    @Test(
        "No way of building an object leaves a name in it twice",
        arguments: [1, 2, 15, 16, 17, 33, 100, 1000])
    func uniqueNames(count: Int) {
        let names = (0..<count).map { "name \($0)" }
        let twice = (names + names).enumerated().map { Object.Member(name: $1, value: .int(Int64($0))) }
        var appended = Object()
        for member in twice { appended.append(member.name, member.value) }
        var assigned = Object()
        for member in twice { assigned[member.name] = member.value }
        for object in [Object(twice), appended, assigned] {
            #expect(object.members.map(\.name) == names)
            #expect(object.members.map(\.value) == (0..<count).map { .int(Int64(count + $0)) })
            #expect(object["name 0"] == .int(Int64(count)))
            #expect(object["name \(count)"] == nil)
        }
        var inserted = Object()
        for member in twice { _ = inserted.insert(member.name, member.value) }
        #expect(inserted.members.map(\.value) == (0..<count).map { .int(Int64($0)) })
        let isNew = inserted.insert("name 0", nil)
        #expect(!isNew)
    }

    @Test("Removing and adding again keeps what is found by name", arguments: [3, 16, 17, 40, 300])
    func removing(count: Int) {
        var object = Object()
        var model: [(String, Value)] = []
        for step in 0..<(count * 4) {
            let name = "n\(step * 7 % count)"
            if step % 3 == 2 {
                object[name] = nil
                model.removeAll { $0.0 == name }
            } else {
                object[name] = .int(Int64(step))
                if let index = model.firstIndex(where: { $0.0 == name }) {
                    model[index].1 = .int(Int64(step))
                } else {
                    model.append((name, .int(Int64(step))))
                }
            }
        }
        #expect(object.members.map(\.name) == model.map(\.0))
        for (name, value) in model { #expect(object[name] == value) }
        #expect(object.count == model.count)
    }

    @Test("Names that only look alike stay apart, among few and among many", arguments: [0, 40])
    func canonicallyEquivalentNames(others: Int) {
        var object = Object()
        for number in 0..<others { object["\(number)"] = 0 }
        object["\u{E9}"] = 1
        object["e\u{301}"] = 2
        #expect(object["\u{E9}"] == 1)
        #expect(object["e\u{301}"] == 2)
        #expect(object.count == others + 2)
    }

    @Test("100,000 names are set, found and read as a form and as JSON in a moment", .timeLimit(.minutes(1)))
    func manyNames() throws {
        var object = Object()
        for number in 0..<100_000 { object["field_\(number)"] = .int(Int64(number)) }
        for number in 0..<100_000 { #expect(object["field_\(number)"] == .int(Int64(number))) }
        try #expect(JSON.parse(JSON.bytes(.object(object))) == .object(object))
        let form = Array(object.members.map { "\($0.name)=1" }.joined(separator: "&").utf8)
        let read = try BodyReader.read(form, contentType: "application/x-www-form-urlencoded")
        #expect(read.object?.count == 100_000)
        let same = Array(repeatElement("a=1", count: 100_000).joined(separator: "&").utf8)
        try #expect(
            BodyReader.read(same, contentType: "application/x-www-form-urlencoded")["a"]?.array?.count
                == 100_000)
    }

    @Test("values are the same if their bytes are, and not if they only look the same")
    func comparesBytes() {
        // é in one scalar, and as e with an accent.
        let (one, other) = (Value.string("\u{E9}"), Value.string("e\u{301}"))
        #expect(one != other)
        #expect([one] as Value != [other] as Value)
        #expect((["a": one] as Value) != (["a": other] as Value))
        #expect(
            Value.object(Object([Object.Member(name: "\u{E9}", value: 1)]))
                != Value.object(Object([Object.Member(name: "e\u{301}", value: 1)])))
        #expect(Set([one, other, "e\u{301}"]).count == 2)
        #expect((["a": [one, 1, .null, true]] as Value) == (["a": [one, 1, .null, true]] as Value))
    }
}
