import Assembly
import Clocks
import CurlTransport
import Glibc
import MicroHTTPServer
import Ports
import Processes
import Runtime
import Server
import Storage
import Values

/// `serve`: the server itself.
enum ServeCommand {
    static let command = Command(
        "serve", "run the server until SIGTERM or Ctrl-C", options: SettingTable.options(SettingTable.server),
        details: """
            Settings come from the flag, then the variable in brackets, then the file; docs/configuration.md.
            Prints one JSON line with its addresses when it is ready; events go to standard error.
            SIGTERM stops accepting, waits up to drain-time for requests in flight, and exits with 0;
            unfinished work continues at the next start. A second signal exits at once.
            """, run: run)

    static func databasePath(_ settings: SettingValues) -> String {
        settings.text("database") ?? "\(settings.text("data") ?? ".")/millrace.db"
    }

    @Sendable private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        // Before the first thread, or a signal could end the process on a thread that does not know it.
        TerminationSignals.block()
        // What the database and its neighbours hold is for this user alone.
        umask(0o077)
        let begun = ContinuousClock.now
        let settings = try SettingValues(
            SettingTable.server, arguments: invocation.arguments, environment: invocation.environment)
        let database = databasePath(settings)
        let key = try MasterKey.read(settings, environment: invocation.environment).fitting(database)
        guard Files.exists(database) else {
            throw CommandFailure(
                .usage, "no_database", "there is no database", place: database,
                hint: "make one with `millrace init`")
        }
        let limit = OpenFileLimit.raise()
        guard limit >= OpenFiles.limitMin else {
            throw CommandFailure(
                .usage, "open_files", "only \(limit) files may be open at once, fewer than the server needs",
                hint: "raise the limit (`ulimit -n`, LimitNOFILE=) to \(OpenFiles.limitMin) or more")
        }
        let process = try ServerProcess(settings, database: database, key: key, fileLimit: limit)
        let count = try process.begin()
        invocation.console.print([
            "event": "ready", "listen": .string("\(process.address)"),
            "internal_listen": .string("\(process.internalAddress)"),
            "recovered_runs": .int(Int64(count)),
            "ready_ms": .int((ContinuousClock.now - begun).milliseconds),
        ])
        TerminationSignals.wait()
        _ = WorkerThread(name: "second-signal") {
            TerminationSignals.wait()
            _exit(130)
        }
        process.stop(within: settings.duration("drain-time"))
        return .ok
    }
}

/// The listeners and the installation behind them.
final class ServerProcess: Sendable {
    let address: SocketAddress
    let internalAddress: SocketAddress
    private let installation: Installation
    private let listener: MicroHTTPServer
    private let internalListener: MicroHTTPServer
    private let gate: Gate
    private let internalGate: Gate
    private let log: EventLog

    /// Binds both addresses and opens the database; nothing is answered but 503 until ``begin()``.
    init(
        _ settings: SettingValues, database: String, key: MasterKey, fileLimit: Int
    ) throws(CommandFailure) {
        let clock = SystemClock()
        let (gate, internalGate) = (Gate(), Gate())
        let files = OpenFiles(
            limit: fileLimit, connections: Int(clamping: settings.integer("connections-max")),
            requests: Int(clamping: settings.integer("requests-max")))
        let listener = try Self.listen("listen", settings, files, clock, gate)
        var address = settings.address("listen")
        address.port = listener.port
        let internalListener: MicroHTTPServer
        do throws(CommandFailure) {
            internalListener = try Self.listen("internal-listen", settings, files, clock, internalGate)
        } catch {
            listener.shutDown(drain: .zero)
            throw error
        }
        var internalAddress = settings.address("internal-listen")
        internalAddress.port = internalListener.port
        let log = EventLog.standardError(now: { clock.now() })
        if files.connectionCountMax < settings.integer("connections-max") {
            log.write(
                .warning, "server.few_open_files",
                [
                    ("limit", .int(Int64(fileLimit))), ("connections", .int(Int64(files.connectionCountMax))),
                    ("requests", .int(Int64(files.requestCountMax))),
                ])
        }
        do throws(CommandFailure) {
            let wanted = Self.installationSettings(
                settings, files, database, key, address, internalAddress)
            installation = try Self.open(wanted, log: log, key: key)
        } catch {
            listener.shutDown(drain: .zero)
            internalListener.shutDown(drain: .zero)
            throw error
        }
        (self.gate, self.internalGate, self.log) = (gate, internalGate, log)
        (self.listener, self.internalListener) = (listener, internalListener)
        (self.address, self.internalAddress) = (address, internalAddress)
    }

    private static func listen(
        _ name: String, _ settings: SettingValues, _ files: OpenFiles, _ clock: SystemClock, _ gate: Gate
    ) throws(CommandFailure) -> MicroHTTPServer {
        let address = settings.address(name)
        var limits = ListenerLimits()
        limits.connectionCountMax = files.connectionCountMax
        limits.connectionCountMaxPerAddress = Int(clamping: settings.integer("connections-per-address-max"))
        limits.bodyByteCountMax = Int(clamping: settings.integer("body-bytes-max"))
        let threads = name == "listen" ? Int(clamping: settings.integer("server-threads")) : 1
        do throws(ListenerError) {
            return try MicroHTTPServer.start(
                address: address.host, port: address.port, threadCount: threads, limits: limits,
                clock: { clock.now() }, handler: gate)
        } catch {
            throw CommandFailure(
                .usage, "cannot_listen", "cannot listen there: \(error.reason)", place: error.address,
                hint: "is another server running? choose another address with --\(name)")
        }
    }

    private static func open(
        _ settings: InstallationSettings, log: EventLog, key: MasterKey
    ) throws(CommandFailure) -> Installation {
        let installation: Installation
        do throws(StoreError) {
            installation = try Installation(settings, log: log) { _ in
                // Nothing further can be stored, so nothing may be sent: a supervisor starts us again.
                _exit(ExitCode.storeFailed.rawValue)
            }
        } catch {
            throw CommandFailure(
                .notOK, "store_\(error.label)", "the database cannot be opened: \(StoreText.sentence(error))",
                place: settings.databasePath)
        }
        do throws(CommandFailure) {
            try key.verify(against: installation.store, installation.cryptography)
        } catch {
            installation.shutDown(drain: .zero)
            throw error
        }
        return installation
    }

    private static func installationSettings(
        _ settings: SettingValues, _ files: OpenFiles, _ database: String, _ key: MasterKey,
        _ address: SocketAddress, _ internalAddress: SocketAddress
    ) -> InstallationSettings {
        var wanted = InstallationSettings(databasePath: database, masterKey: key.bytes)
        wanted.runtime.tenantEgress = EgressPolicy(
            allowed: Destinations.readAll(settings.text("tenant-egress") ?? ""),
            denied: address.destinations + internalAddress.destinations)
        wanted.runtime.operatorEgress = EgressPolicy(
            allowed: Destinations.readAll(settings.text("operator-egress") ?? "")
                + internalAddress.destinations)
        wanted.runtime.openRunCountMax = Int(clamping: settings.integer("open-runs-max"))
        wanted.runtime.openRunCountPerTenantMax = settings.text("open-runs-per-tenant-max").flatMap {
            Int($0)
        }
        wanted.runtime.descendantCountMax = Int(clamping: settings.integer("descendants-max"))
        wanted.runtime.runByteCountMax = Int(clamping: settings.integer("run-bytes-max"))
        wanted.runtime.parkingDelay = settings.duration("park-after")
        wanted.runtime.runRetention = settings.duration("run-retention")
        wanted.runtime.dedupeRetention = settings.duration("dedupe-retention")
        wanted.runtime.overdraftMax = settings.duration("overdraft-max")
        wanted.webhookRate = Int(clamping: settings.integer("webhook-rate"))
        wanted.webhookBurst = Int(clamping: settings.integer("webhook-burst"))
        wanted.runtime.answerByteCountMax = Int(clamping: settings.integer("answer-bytes-max"))
        wanted.transport.transferCountMax = files.requestCountMax
        wanted.transport.transferCountMaxPerPool = Int(clamping: settings.integer("requests-per-tenant-max"))
        wanted.transport.transferCountMaxPerHost = Int(clamping: settings.integer("requests-per-host-max"))
        wanted.api.pricePerMinuteMinor = settings.integer("price-per-minute")
        wanted.api.currency = settings.text("currency") ?? wanted.api.currency
        wanted.api.publicURL = settings.url("public-url") ?? "http://\(address)"
        wanted.runtime.publicURL = wanted.api.publicURL
        return wanted
    }

    /// Sets every open run going again and starts answering.
    ///
    /// - Returns: How many runs there were.
    func begin() throws(CommandFailure) -> Int {
        do throws(StoreError) {
            // The operator's steps of recovered runs call the internal address at once.
            internalGate.open(to: installation.internalAPI)
            let count = try installation.runtime.recover()
            try installation.scheduler.start()
            gate.open(to: installation.api)
            return count
        } catch {
            throw CommandFailure(
                .internal, "store_\(error.label)", "recovery failed: \(StoreText.sentence(error))")
        }
    }

    /// Lets what is under way end within `limit`, then closes everything; nothing is lost (I5).
    func stop(within limit: Duration) {
        let end = ContinuousClock.now + limit
        func left() -> Duration { max(.zero, end - ContinuousClock.now) }
        log.write(.info, "server.stopping", [("open_runs", .int(Int64(installation.runtime.load.openRuns)))])
        listener.shutDown(drain: left())
        // The internal address stays up for the operator's steps in flight.
        installation.runtime.drain(atMost: left())
        internalListener.shutDown(drain: .seconds(1))
        installation.shutDown(drain: .zero)
        log.write(.info, "server.stopped")
    }
}
