import Ports
import Values

/// An answer of the service; status 0 where none came.
struct Reply: Sendable {
    var status: Int
    var headers: [HTTPHeader]
    var body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }
    var value: Value { (try? JSON.parseOwn(body)) ?? .null }
    /// The code of an error.
    var code: String? { value["error"]?["code"]?.string }
    var items: [Value] { value["items"]?.array ?? [] }

    subscript(_ name: String) -> Value? { value[name] }
}
