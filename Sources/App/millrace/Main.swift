import Bench
import Commands
import Glibc

@main
struct Main {
    static func main() {
        let arguments = CommandLine.arguments
        if arguments.count > 1, arguments[1] == "bench" {
            exit(BenchCommand.run(Array(arguments.dropFirst(2))))
        }
        exit(Program.main())
    }
}
