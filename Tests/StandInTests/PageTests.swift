import Foundation
import Ports
import StandIns
import Testing
import Values

/// `docs/stand-ins.md` against the stand-ins themselves.
@Suite("The page of the stand-ins")
struct PageTests {
    /// A row of one of its tables: the part of the page, and a request such as `GET /_standin/log`.
    private struct Row {
        var part: String
        var method: String
        var path: String
    }

    private let providers: [String: any InboundHandler]

    init() {
        let clock = TurnedClock()
        let cryptography = TestCryptography()
        let stripe = StripeStandIn(clock: clock, cryptography: cryptography, transport: WebhookReceiver())
        let mollie = MollieStandIn(clock: clock, cryptography: cryptography, transport: WebhookReceiver())
        providers = [
            "Stripe": stripe, "Mollie": mollie, "Resend": ResendStandIn(clock: clock),
            "Slack": SlackStandIn(clock: clock), "shop": OrderStandIn(clock: clock),
        ]
    }

    private func rows() throws -> [Row] {
        let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(
            contentsOf: repository.appending(path: "docs/stand-ins.md"), encoding: .utf8)
        var (rows, heading) = ([Row](), "")
        for line in page.components(separatedBy: "\n") {
            if line.hasPrefix("## ") { heading = String(line.dropFirst(3)) }
            guard let match = line.firstMatch(of: #/^\| `(GET|POST|DELETE) (\/_standin\/\S+)` \| (\w*)/#)
            else {
                continue
            }
            let part = heading == "Resend, Slack and the shop" ? String(match.3) : heading
            rows.append(Row(part: part, method: String(match.1), path: String(match.2)))
        }
        return rows
    }

    @Test("every control that it names is there, for every provider that it names it of")
    func controlsExist() throws {
        let rows = try rows()
        #expect(rows.count > 20)
        for row in rows {
            let named =
                row.part == "All of them" ? Array(providers.values) : [try #require(providers[row.part])]
            for provider in named {
                let path = row.path.replacing("{id}", with: "x_1")
                let answer = try provider.call(row.method, path, authorization: nil)
                // A body or an object may be missing, but not the control.
                #expect(answer.json["error"]?.string != "no such control", "\(row)")
                #expect([200, 201, 400, 404, 409].contains(answer.status), "\(row): \(answer.status)")
            }
        }
    }
}
