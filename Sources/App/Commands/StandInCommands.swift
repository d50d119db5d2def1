import Clocks
import CurlTransport
import MicroHTTPServer
import OpenSSLCrypto
import Ports
import Processes
import StandIns
import Values

/// `stand-ins`: the providers that the workflows of this repository call, on loopback.
enum StandInCommands {
    static let all = [
        Command(
            "stand-ins",
            "run Stripe, Mollie, Resend, Slack and an order backend on loopback, for writing workflows",
            details: """
                Prints the address of each and serves until it is told to stop (SIGTERM, Ctrl-C).
                Every stand-in shows what reached it under GET /_standin/log, and fails on demand:
                POST /_standin/faults {"match": "POST /v1/charges", "kind": "status", "status": 503, "times": 2}
                docs/stand-ins.md has all of it: who pays, when, and what is told by which webhook.
                """, run: run)
    ]

    /// The stand-ins with the servers that carry them.
    final class Running: Sendable {
        let suite: StandInSuite
        let clock: SystemClock
        private let transport: CurlTransport
        private let listeners: Collected<MicroHTTPServer>

        init() throws(CommandFailure) {
            let clock = SystemClock()
            let transport = CurlTransport { clock.now() }
            let listeners = Collected<MicroHTTPServer>()
            do {
                suite = try StandInSuite(
                    clock: clock, cryptography: OpenSSLCryptography(), transport: transport
                ) { handler in
                    let listener = try MicroHTTPServer.start(
                        address: "127.0.0.1", port: 0, limits: ListenerLimits(), clock: { clock.now() },
                        handler: handler)
                    listeners.add(listener)
                    return listener.port
                }
            } catch {
                throw CommandFailure(.internal, "listen", "a stand-in cannot listen on 127.0.0.1: \(error)")
            }
            (self.clock, self.transport, self.listeners) = (clock, transport, listeners)
        }

        func stop() {
            for listener in listeners.all { listener.shutDown(drain: .zero) }
            transport.shutDown()
            clock.shutDown()
        }
    }

    @Sendable private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        TerminationSignals.block()
        let running = try Running()
        defer { running.stop() }
        if invocation.isJSON {
            let members = running.suite.variables.map {
                Object.Member(name: $0.name, value: .string($0.value))
            }
            invocation.console.print(.object(Object(members)))
        } else {
            for (name, value) in running.suite.variables { invocation.console.print("\(name)=\(value)") }
            invocation.console.complain(
                "serving until Ctrl-C; deploy with --var NAME=URL for each that a workflow names")
        }
        TerminationSignals.wait()
        return .ok
    }
}
