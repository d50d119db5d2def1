// swift-tools-version: 6.2
import PackageDescription

// The tree is the architecture: every target lives in Sources/<layer>/<target>, and the check at
// the end of this file refuses an arrow that ARCHITECTURE.md does not allow.

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
    // Debug builds, and so all tests, check at run time that no two accesses overlap; what they prove is not paid for again.
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

/// A distribution's C library, found through pkg-config.
func binding(_ name: String, pkgConfig: String, apt: String) -> Target {
    .systemLibrary(
        name: name, path: "Sources/Bindings/\(name)", pkgConfig: pkgConfig, providers: [.apt([apt])])
}

/// C of our own beside a binding: only what Swift cannot import or must not see.
func shim(_ name: String, over library: String?) -> Target {
    .target(
        name: name, dependencies: library.map { [.target(name: $0)] } ?? [],
        path: "Sources/Bindings/\(name)", cSettings: [.define("_GNU_SOURCE")])
}

func swift(_ layer: String, _ name: String, _ needs: [String], resources: [Resource] = []) -> Target {
    .target(
        name: name, dependencies: needs.map { .target(name: $0) },
        path: "Sources/\(layer)/\(name)", resources: resources, swiftSettings: strict)
}

func tests(_ name: String, _ needs: [String]) -> Target {
    .testTarget(
        name: name, dependencies: needs.map { .target(name: $0) }, path: "Tests/\(name)",
        exclude: [], swiftSettings: strict)
}

/// What several test targets share, and what a test puts in place of an adapter; no product contains it.
func support(_ name: String, _ needs: [String]) -> Target {
    .target(
        name: name, dependencies: needs.map { .target(name: $0) }, path: "Tests/\(name)",
        swiftSettings: strict)
}

let core = ["Values", "Schedules", "Ports", "Workflow", "Billing", "Engine", "Storage"]
let adapters = [
    "WorkflowYAML", "LuaExpressions", "SQLiteStore", "CurlTransport",
    "MicroHTTPServer", "OpenSSLCrypto", "Clocks", "Processes", "ZoneFiles",
]
let service = ["Runtime", "Ingress", "Server"]

let package = Package(
    name: "millrace",
    products: [.executable(name: "millrace", targets: ["millrace"])],
    targets: [
        binding("CYAML", pkgConfig: "yaml-0.1", apt: "libyaml-dev"),
        binding("CLua", pkgConfig: "lua5.4", apt: "liblua5.4-dev"),
        binding("CCurl", pkgConfig: "libcurl", apt: "libcurl4-openssl-dev"),
        binding("CZlib", pkgConfig: "zlib", apt: "zlib1g-dev"),
        binding("CExpat", pkgConfig: "expat", apt: "libexpat1-dev"),
        binding("CSQLite", pkgConfig: "sqlite3", apt: "libsqlite3-dev"),
        binding("CCrypto", pkgConfig: "libcrypto", apt: "libssl-dev"),
        binding("CJemalloc", pkgConfig: "jemalloc", apt: "libjemalloc-dev"),
        binding("CMicroHTTP", pkgConfig: "libmicrohttpd", apt: "libmicrohttpd-dev"),
        shim("CLuaSandbox", over: "CLua"),
        shim("CCurlShim", over: "CCurl"),
        shim("CSQLiteShim", over: "CSQLite"),
        shim("CMicroHTTPShim", over: "CMicroHTTP"),
        shim("CSystem", over: nil),

        swift("Core", "Values", []),
        swift("Core", "Schedules", ["Values"]),
        swift("Core", "Ports", ["Values", "Schedules"]),
        swift("Core", "Workflow", ["Values", "Ports", "Schedules"]),
        swift("Core", "Billing", ["Values"]),
        swift("Core", "Engine", ["Values", "Ports", "Workflow", "Billing", "Storage"]),
        swift("Core", "Storage", ["Values", "Billing"]),

        swift("Adapters", "WorkflowYAML", ["Values", "Workflow", "CYAML"]),
        swift("Adapters", "LuaExpressions", ["Values", "Ports", "Schedules", "CLuaSandbox", "CExpat"]),
        swift("Adapters", "SQLiteStore", ["Values", "Billing", "Storage", "CSQLite", "CSQLiteShim"]),
        swift("Adapters", "CurlTransport", ["Values", "Ports", "CCurl", "CCurlShim", "CSystem", "CZlib"]),
        swift("Adapters", "MicroHTTPServer", ["Values", "Ports", "CMicroHTTP", "CMicroHTTPShim", "CSystem"]),
        swift("Adapters", "OpenSSLCrypto", ["Values", "Ports", "CCrypto"]),
        swift("Adapters", "Clocks", ["Values", "Ports"]),
        swift("Adapters", "Processes", ["CJemalloc", "CSystem"]),
        swift("Adapters", "ZoneFiles", ["Values", "Ports", "Schedules"]),

        swift("Service", "Runtime", core),
        swift("Service", "Ingress", core + ["Runtime"]),
        swift("Service", "Server", core + ["Runtime", "Ingress"]),

        swift(
            "App", "StandIns",
            ["Values", "Ports", "CurlTransport", "MicroHTTPServer", "OpenSSLCrypto", "Clocks"]),
        swift("App", "Assembly", core + adapters + service),
        swift("App", "Bench", core + adapters + service + ["Assembly"]),
        swift(
            "App", "WorkflowTesting",
            core + ["WorkflowYAML", "LuaExpressions", "OpenSSLCrypto", "Runtime", "Ingress"]),
        swift("App", "Commands", core + adapters + service + ["StandIns", "Assembly", "WorkflowTesting"]),
        .executableTarget(
            name: "millrace", dependencies: ["Commands", "Bench"], path: "Sources/App/millrace",
            swiftSettings: strict),

        support("TestSupport", ["Values", "Ports", "Clocks"]),
        support("MemoryStore", ["Values", "Billing", "Storage"]),

        tests("ValuesTests", ["Values", "TestSupport"]),
        tests("ScheduleTests", ["Values", "Ports", "Schedules", "ZoneFiles", "TestSupport"]),
        tests(
            "WorkflowTests",
            [
                "Values", "Ports", "Schedules", "Workflow", "WorkflowYAML", "LuaExpressions", "OpenSSLCrypto",
                "ZoneFiles", "TestSupport",
            ]),
        tests(
            "LuaExpressionsTests",
            ["Values", "Ports", "LuaExpressions", "OpenSSLCrypto", "ZoneFiles", "TestSupport"]),
        tests("BillingTests", ["Values", "Billing", "OpenSSLCrypto", "Ports", "TestSupport"]),
        tests("EngineTests", core + ["WorkflowYAML", "LuaExpressions", "OpenSSLCrypto", "TestSupport"]),
        tests(
            "StoreTests", core + ["SQLiteStore", "MemoryStore", "OpenSSLCrypto", "CSQLite", "TestSupport"]),
        tests("TransportTests", ["Values", "Ports", "CurlTransport", "Clocks", "TestSupport"]),
        tests("HTTPServerTests", ["Values", "Ports", "MicroHTTPServer", "Clocks"]),
        tests(
            "StandInTests",
            ["Values", "Ports", "StandIns", "CurlTransport", "MicroHTTPServer", "OpenSSLCrypto", "Clocks"]),
        tests(
            "ServiceTests",
            core + adapters + service + ["StandIns", "Commands", "MemoryStore", "TestSupport"]),
        tests(
            "SimulationTests",
            core + service + [
                "MemoryStore", "SQLiteStore", "WorkflowYAML", "LuaExpressions", "OpenSSLCrypto", "ZoneFiles",
                "StandIns", "TestSupport",
            ]),
        tests(
            "CommandTests", core + adapters + ["Runtime", "StandIns", "Commands", "CSystem", "TestSupport"]),
        tests(
            "WorkflowTestingTests",
            [
                "Values", "Ports", "Schedules", "Workflow", "WorkflowYAML", "WorkflowTesting", "Commands",
                "ZoneFiles", "Engine",
            ]),
        tests("TidyTests", []),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu17
)

// MARK: - Layer check

let layersUsable: [Substring: Set<Substring>] = [
    "Bindings": ["Bindings"], "Core": ["Core"], "Adapters": ["Bindings", "Core"],
    "Tests": ["Adapters", "Core", "Tests"], "Service": ["Core", "Service"],
    "App": ["Adapters", "App", "Core", "Service"],
]

/// The middle of `Sources/<layer>/<target>`, or `Tests` for what only tests use.
func layer(of target: Target) -> Substring? {
    let parts = (target.path ?? "").split(separator: "/")
    if parts.count == 2, parts[0] == "Tests" { return parts[0] }
    return parts.count == 3 && parts[0] == "Sources" ? parts[1] : nil
}

func name(of dependency: Target.Dependency) -> String {
    switch dependency {
    case .targetItem(let name, _), .byNameItem(let name, _): return name
    case .productItem(let name, _, _, _): fatalError("\(name): packages from outside are not used")
    @unknown default: fatalError("unknown form of dependency: see ARCHITECTURE.md")
    }
}

let layerByTarget = Dictionary(uniqueKeysWithValues: package.targets.map { ($0.name, layer(of: $0)) })
for target in package.targets where target.type != .test {
    guard let from = layer(of: target), let usable = layersUsable[from] else {
        fatalError("\(target.name) is in no layer: see ARCHITECTURE.md")
    }
    for needed in target.dependencies.map(name(of:)) {
        guard let to = layerByTarget[needed] ?? nil, usable.contains(to) else {
            fatalError("\(target.name) (\(from)) may not depend on \(needed): see ARCHITECTURE.md")
        }
    }
}
