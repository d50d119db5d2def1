/// Every setting there is.
package enum SettingTable {
    package static let all = server + client

    package static let server = storage + network + billing + limits

    private static let storage = [
        Setting(
            name: "data", audience: .server, kind: .path, placeholder: "FOLDER", standard: "millrace-data",
            summary: "folder of the database and the master key"),
        Setting(
            name: "database", audience: .server, kind: .path, placeholder: "FILE", standard: nil,
            summary: "the database file; without it millrace.db in the data folder"),
        Setting(
            name: "master-key-file", audience: .server, kind: .path, placeholder: "FILE", standard: nil,
            summary:
                "file of the key that encrypts secrets, 64 hex digits; without it master.key in the data "
                + "folder; the variable MILLRACE_MASTER_KEY with the digits takes precedence"),
        Setting(
            name: "run-retention", audience: .server, kind: .duration(86_400...315_360_000),
            placeholder: "DURATION", standard: "30d", summary: "finished runs are deleted after this time"),
        Setting(
            name: "dedupe-retention", audience: .server, kind: .duration(2_592_000...315_360_000),
            placeholder: "DURATION", standard: "30d",
            summary: "dedupe keys of tenants are deleted after this time; the operator's are kept"),
    ]

    private static let network = [
        Setting(
            name: "listen", audience: .server, kind: .address, placeholder: "ADDRESS:PORT",
            standard: "127.0.0.1:7070",
            summary: "address of the API and of webhooks; port 0 uses any free port"),
        Setting(
            name: "internal-listen", audience: .server, kind: .address, placeholder: "ADDRESS:PORT",
            standard: "127.0.0.1:7071",
            summary: "address of /api/internal, for the operator's workflows only"),
        Setting(
            name: "public-url", audience: .server, kind: .url, placeholder: "URL", standard: nil,
            summary: "public URL of `listen`; without it http:// and that address"),
        Setting(
            name: "tenant-egress", audience: .server, kind: .destinations, placeholder: "LIST", standard: "",
            summary: "private addresses that tenants' steps may reach, besides all public ones; never the "
                + "server's own ports"),
        Setting(
            name: "operator-egress", audience: .server, kind: .destinations, placeholder: "LIST",
            standard: "",
            summary: "private addresses that the operator's steps may reach, besides `internal-listen`"),
    ]

    private static let billing = [
        Setting(
            name: "price-per-minute", audience: .server, kind: .integer(0...1_000_000), placeholder: "AMOUNT",
            standard: "10", summary: "price of a minute of run time, in the currency's minor unit (cents)"),
        Setting(
            name: "currency", audience: .server, kind: .currency, placeholder: "CODE", standard: "EUR",
            summary: "currency of the price, ISO 4217"),
        Setting(
            name: "overdraft-max", audience: .server, kind: .duration(0...86_400), placeholder: "DURATION",
            standard: "10m",
            summary:
                "run time by which a balance may fall below zero while requests are in flight, besides one "
                + "attempt"),
    ]

    private static let limits = [
        Setting(
            name: "open-runs-max", audience: .server, kind: .integer(1...10_000_000), placeholder: "COUNT",
            standard: "100000",
            summary: "runs in memory, of all tenants; above it triggers are answered with 503"),
        Setting(
            name: "open-runs-per-tenant-max", audience: .server, kind: .integer(1...10_000_000),
            placeholder: "COUNT", standard: nil,
            summary:
                "runs in memory of one tenant, except the operator; above it triggers are answered with 429; "
                + "without it a quarter of `open-runs-max`"),
        Setting(
            name: "run-bytes-max", audience: .server, kind: .integer(1_048_576...1_073_741_824),
            placeholder: "BYTES", standard: "67108864",
            summary: "bytes of a run's journal; above it the run fails with `run_too_large`"),
        Setting(
            name: "descendants-max", audience: .server, kind: .integer(1...10_000_000), placeholder: "COUNT",
            standard: "10000",
            summary: "runs that one start may lead to by calls, at any depth; the next call fails with "
                + "`too_many_descendants`"),
        Setting(
            name: "park-after", audience: .server, kind: .duration(0...86_400), placeholder: "DURATION",
            standard: "5s", summary: "a run that only waits leaves memory if it waits for longer than this"),
        Setting(
            name: "requests-max", audience: .server, kind: .integer(1...100_000), placeholder: "COUNT",
            standard: "512", summary: "requests of steps in flight at once; more wait"),
        Setting(
            name: "requests-per-tenant-max", audience: .server, kind: .integer(1...100_000),
            placeholder: "COUNT",
            standard: "256", summary: "requests in flight of one tenant; more wait"),
        Setting(
            name: "requests-per-host-max", audience: .server, kind: .integer(1...100_000),
            placeholder: "COUNT",
            standard: "128",
            summary:
                "requests of steps in flight to one host and port, shared between tenants; more wait"
        ),
        Setting(
            name: "answer-bytes-max", audience: .server, kind: .integer(1024...67_108_864),
            placeholder: "BYTES",
            standard: "1048576",
            summary:
                "bytes of the body of an answer to a step's request, decoded; a longer body fails the "
                + "attempt with `response_too_large`"),
        Setting(
            name: "body-bytes-max", audience: .server, kind: .integer(65_536...67_108_864),
            placeholder: "BYTES",
            standard: "1048576",
            summary: "bytes of the body of a request on either listener; a longer body is answered with 413"),
        Setting(
            name: "webhook-rate", audience: .server, kind: .integer(0...1_000_000), placeholder: "COUNT",
            standard: "1000",
            summary:
                "requests a second that each webhook accepts in the long run; more are answered with 429; 0 for "
                + "no limit"),
        Setting(
            name: "webhook-burst", audience: .server, kind: .integer(1...1_000_000), placeholder: "COUNT",
            standard: "5000", summary: "requests that each webhook accepts at once, above `webhook-rate`"),
        Setting(
            name: "connections-max", audience: .server, kind: .integer(8...100_000), placeholder: "COUNT",
            standard: "4096", summary: "connections at once to each listener"),
        Setting(
            name: "connections-per-address-max", audience: .server, kind: .integer(8...100_000),
            placeholder: "COUNT", standard: "1024",
            summary: "connections at once from one address; more are closed"),
        Setting(
            name: "server-threads", audience: .server, kind: .integer(1...64), placeholder: "COUNT",
            standard: "1",
            summary: "threads that read and answer requests on `listen`"),
        Setting(
            name: "drain-time", audience: .server, kind: .duration(0...600), placeholder: "DURATION",
            standard: "25s", summary: "longest wait for requests in flight when the server stops"),
    ]

    package static let client = [
        Setting(
            name: "server", audience: .client, kind: .url, placeholder: "URL",
            standard: "http://127.0.0.1:7070",
            summary: "address of the server"),
        Setting(
            name: "key", audience: .client, kind: .text, placeholder: "KEY", standard: nil,
            summary: "the API key; prefer the variable or a file, which `ps` does not show"),
        Setting(
            name: "key-file", audience: .client, kind: .path, placeholder: "FILE", standard: nil,
            summary: "file whose first line is the API key"),
    ]

    /// Names a file of settings; itself only a flag or a variable.
    package static let configOption = Option(
        "config", placeholder: "FILE",
        "file of `name = value` lines (default millrace.conf if it exists) [MILLRACE_CONFIG]")

    package static func options(_ settings: [Setting]) -> [Option] { settings.map(\.option) + [configOption] }
}
