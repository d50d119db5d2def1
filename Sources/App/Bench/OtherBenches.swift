import Assembly
import Engine
import Glibc
import MicroHTTPServer
import Ports
import Runtime
import Storage
import Values

/// From a file with open runs to being ready.
struct RecoverBench {
    let options: BenchOptions

    func run() throws {}
}

struct FirstRunBench {
    let options: BenchOptions

    func run() throws {}
}

struct HistoryBench {
    let options: BenchOptions

    func run() throws {}
}

/// Serves webhooks until SIGTERM.
struct IntakeBench {
    let options: BenchOptions

    func run() throws {}
}
