/// `demo`: the whole story, told and checked.
enum DemoCommand {
    static let all: [Command] = []
}
