import Testing

@testable import Commands

@Suite("Open files")
struct OpenFilesTests {
    @Test("a generous limit gives what is wanted")
    func generous() {
        let files = OpenFiles(limit: 1_048_576, connections: 4096, requests: 512)
        #expect(files.connectionCountMax == 4096)
        #expect(files.requestCountMax == 512)
    }

    @Test(
        "both listeners, the requests and the reserve fit into the limit", arguments: [128, 256, 1024, 4096])
    func fits(limit: Int) {
        let files = OpenFiles(limit: limit, connections: 100_000, requests: 100_000)
        #expect(2 * files.connectionCountMax + files.requestCountMax + 60 <= limit)
        #expect(files.connectionCountMax >= 8)
        #expect(files.requestCountMax >= 32)
    }
}
