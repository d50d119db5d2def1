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
    /// Fixed, so that what was deployed with the addresses of yesterday still finds them.
    private static let firstPort: Int64 = 7081

    static let all = [
        Command(
            "stand-ins",
            "run Stripe, Mollie, Resend, Slack and an order backend on loopback, for writing workflows",
            options: [
                Option(
                    "port", .integer(0...65_531), placeholder: "PORT",
                    "first of five ports in a row (default \(firstPort)); 0 for any that are free")
            ],
            details: """
                Prints the address of each stand-in and serves until SIGTERM or Ctrl-C.
                Stripe listens on port 7081, Mollie on 7082, Resend on 7083, Slack on 7084, the order backend on 7085;
                --port moves all five, and --port 0 uses any free ports.
                Every stand-in shows what reached it under GET /_standin/log, and fails on demand:
                POST /_standin/faults {"match": "POST /v1/charges", "kind": "status", "status": 503, "times": 2}
                docs/stand-ins.md describes payments, their times, and the webhooks that are sent.
                """, run: run)
    ]

    /// The stand-ins with the servers that carry them.
    final class Running: Sendable {
        let suite: StandInSuite
        let clock: SystemClock
        private let transport: CurlTransport
        private let listeners: Collected<MicroHTTPServer>

        /// On five ports from that one on, or for 0 on any that are free.
        init(firstPort: UInt16) throws(CommandFailure) {
            let clock = SystemClock()
            let transport = CurlTransport { clock.now() }
            let listeners = Collected<MicroHTTPServer>()
            // Of the one that is being started.
            let port = Collected<UInt16>()
            do {
                suite = try StandInSuite(
                    clock: clock, cryptography: OpenSSLCryptography(), transport: transport
                ) { handler in
                    let wanted = firstPort == 0 ? 0 : firstPort + UInt16(listeners.all.count)
                    port.add(wanted)
                    let listener = try MicroHTTPServer.start(
                        address: "127.0.0.1", port: wanted, limits: ListenerLimits(), clock: { clock.now() },
                        handler: handler)
                    listeners.add(listener)
                    return listener.port
                }
            } catch {
                for listener in listeners.all { listener.shutDown(drain: .zero) }
                throw CommandFailure(
                    .internal, "listen",
                    "a stand-in cannot listen on port \(port.all.last ?? firstPort) of 127.0.0.1: \(error)",
                    hint: "is another `millrace stand-ins` running? `--port 0` takes ports that are free")
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
        let port = invocation.arguments.integer("port") ?? firstPort
        let running = try Running(firstPort: UInt16(clamping: port))
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
