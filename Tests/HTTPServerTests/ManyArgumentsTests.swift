import MicroHTTPServer
import Ports
import Testing

@Suite("HTTP listener: queries of very many arguments")
struct ManyArgumentsTests {
    @Test(
        "a query of thousands of arguments is answered, and all of them arrive", arguments: [500, 2000, 3500])
    func manyArguments(count: Int) throws {
        try withListener { listener in
            let client = try RawClient(port: listener.port)
            let query = Array(repeating: "a=", count: count).joined(separator: "&")
            client.send("GET /?\(query.prefix(8000)) HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(try client.response().status == 200)
        }
    }
}
