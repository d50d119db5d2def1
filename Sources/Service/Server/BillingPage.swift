import Ports
import Runtime
import Storage
import Values

/// `/billing/{purchase}`: where a buyer lands after the provider's checkout, if the purchase named no page of its own.
///
/// It is served without a key: an id of a purchase cannot be guessed, and the page tells no more than how many
/// minutes were bought and whether they have been added.
struct BillingPage {
    let runtime: Runtime

    /// The page of a purchase; `isCancelled` for the buyer who left the checkout.
    static func url(of purchase: PurchaseID, isCancelled: Bool, publicURL: String) -> String {
        "\(publicURL)/billing/\(purchase)" + (isCancelled ? "?cancelled=1" : "")
    }

    /// - Parameters:
    ///   - request: Its query may hold what a provider adds; only `cancelled` is looked at.
    ///   - path: `["billing"]` or `["billing", id]`.
    /// - Returns: A page in every case.
    func answer(_ request: InboundRequest, _ path: [String]) -> InboundResponse {
        guard request.method == "GET" || request.method == "HEAD" else {
            return Answer.methodNotAllowed("GET")
        }
        guard path.count == 2 else { return Self.page(200, Self.general) }
        do throws(StoreError) {
            guard let id = PurchaseID(path[1]), let purchase = try runtime.store.purchase(id) else {
                return Self.page(404, Self.unknown)
            }
            let isCancelled = request.query.contains { $0.name == "cancelled" }
            return Self.page(200, Self.text(for: purchase, isCancelled: isCancelled))
        } catch {
            return Self.page(503, Self.unavailable)
        }
    }
}

// MARK: - Texts

extension BillingPage {
    struct Text {
        var title: String
        var paragraphs: [String]
    }

    static func text(for purchase: Purchase, isCancelled: Bool) -> Text {
        let minutes = "\(purchase.minutes) minute\(purchase.minutes == 1 ? "" : "s")"
        let number = "Number of the purchase: \(purchase.purchase)"
        switch purchase.state {
        case .credited:
            return Text(
                title: "Thank you: the payment has arrived",
                paragraphs: [
                    "\(minutes) of run time \(purchase.minutes == 1 ? "was" : "were") added.", number,
                ])
        case .parked:
            return Text(
                title: "The payment is being checked",
                paragraphs: [
                    "The payment differs from the purchase, so nothing was added yet. "
                        + "The operator of this server looks at it.", number,
                ])
        case .open where isCancelled:
            return Text(
                title: "Nothing was bought",
                paragraphs: [
                    "The checkout was left before the payment. To buy \(minutes), start a new purchase."
                ])
        case .open:
            return Text(
                title: "The payment is not confirmed yet",
                paragraphs: [
                    "If you have paid, \(minutes) of run time will be added as soon as the payment provider "
                        + "confirms it, usually within a minute. Load this page again to see.",
                    "If you have not paid, nothing was bought.", number,
                ])
        }
    }

    static let general = Text(
        title: "Run time of this server",
        paragraphs: [
            "If you have just paid, the run time will be added as soon as the payment provider confirms the payment.",
            "To buy run time, use millrace buy MINUTES, or POST /api/billing/purchases with your key.",
        ])
    static let unknown = Text(
        title: "There is no such purchase",
        paragraphs: ["The address may be cut off: open the link once more from where you bought."])
    static let unavailable = Text(
        title: "The purchase cannot be shown now",
        paragraphs: ["It is not lost. Load this page again in a minute."])
}

// MARK: - HTML

extension BillingPage {
    static func page(_ status: Int, _ text: Text) -> InboundResponse {
        let paragraphs = text.paragraphs.map { "<p>\(escaped($0))</p>" }.joined(separator: "\n")
        let html = """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>\(escaped(text.title))</title>
            <style>\(style)</style>
            </head>
            <body>
            <h1>\(escaped(text.title))</h1>
            \(paragraphs)
            </body>
            </html>

            """
        return InboundResponse(status: status, headers: headers, body: Array(html.utf8))
    }

    static let style =
        "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem;color:#222}"
        + "h1{font-size:1.4rem}code{color:#555}"

    /// SHA-256 of ``style`` in base64: the only style that the policy lets a browser apply.
    static let styleHash = "XRhLWkGbILEJqFPW3E9XLdd2AFaD3hojOUZsW6WI9qg="

    private static let headers = [
        HTTPHeader("Content-Type", "text/html; charset=utf-8"),
        HTTPHeader(
            "Content-Security-Policy",
            "default-src 'none'; style-src 'sha256-\(styleHash)'; base-uri 'none'; form-action 'none'; "
                + "frame-ancestors 'none'"),
        HTTPHeader("Cache-Control", "no-store"), HTTPHeader("Referrer-Policy", "no-referrer"),
        HTTPHeader("X-Content-Type-Options", "nosniff"),
    ]

    static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;").replacing("'", with: "&#39;")
    }
}
