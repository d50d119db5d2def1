import Testing
import Values

@Suite("Web addresses")
struct WebAddressTests {
    @Test(
        "scheme, host and port have one form, and path and query stay as they are",
        arguments: [
            ("http://a.example", "http://a.example/"),
            ("HTTPS://A.Example/Pa/TH?Q#", "https://a.example/Pa/TH?Q#"),
            ("http://a.example:80", "http://a.example/"), ("https://a.example:80/", "https://a.example:80/"),
            ("http://a.example:00080/x", "http://a.example/x"), ("http://a.example:?", "http://a.example/?"),
            ("http://0/", "http://0.0.0.0/"), ("http://127.1:8080", "http://127.0.0.1:8080/"),
            ("http://0x7F.1", "http://127.0.0.1/"), ("http://017700000001/", "http://127.0.0.1/"),
            ("http://2130706433/", "http://127.0.0.1/"), ("http://127.65535/", "http://127.0.255.255/"),
            ("http://127.0.0.256/", "http://127.0.0.256/"), ("http://1.2.3.4.5/", "http://1.2.3.4.5/"),
            ("http://08.1/", "http://08.1/"), ("http://4294967296/", "http://4294967296/"),
            ("http://127.0.0.1./", "http://127.0.0.1./"), ("http://1e3/", "http://1e3/"),
            ("http://0x/", "http://0x/"),
            ("http://[2001:DB8:0:0:0:0:0:1]:443/", "http://[2001:db8::1]:443/"),
            ("https://[::ffff:127.0.0.1]:443/", "https://[::ffff:127.0.0.1]/"),
            ("http://a.example/a/../b//./c?x=/../#f", "http://a.example/a/../b//./c?x=/../#f"),
        ])
    func forms(written: String, expected: String) throws {
        let address = try WebAddress(written)
        #expect(address.text == expected)
        #expect(try WebAddress(address.text) == address, "a form is its own form")
    }

    @Test(
        "what is no address of the web is refused",
        arguments: [
            "", "http://", "http:///x", "http://?x", "ftp://a.example/", "http:/a.example", "//a.example/",
            "https://user@a.example/", "https://u:p@a.example/", "http://a b/", "http://é.example/",
            "http://a.example:0/", "http://a.example:65536/", "http://a.example:99999999999999999999/",
            "http://a.example:8a/", "http://a.example:-1/", "http://[::1/", "http://::1/", "http://[::1]x/",
            "http://[g::1]/", "http://x[::1]/", "http://[127.0.0.1]/", "http://:80/",
        ])
    func refused(url: String) {
        #expect(throws: WebAddress.Problem.self) { try WebAddress(url) }
    }
}
