import Values

/// What a stand-in knows before the first request reaches it.
package struct StandInOptions: Sendable {
    /// The only API key that is accepted; nil accepts any that is not empty.
    package var apiKey: String?
    /// Where signed events go; nil sends none until `POST /_standin/webhook` names an address.
    package var webhookURL: String?
    /// Signing secrets; with two, as while one is being rolled, each event carries both signatures.
    package var webhookSecrets: [String]
    /// Waits before the second and each further delivery of a webhook that was not accepted.
    package var webhookDelays: [Duration]
    /// Statuses that accept a webhook; any other answer, or none, is delivered again.
    package var webhookAccepts: ClosedRange<Int>
    /// Customers that exist from the start, as `cus_abc` and its email.
    package var customers: [Customer]
    /// Names and ids of Slack channels that exist.
    package var channels: [String]
    /// Requests kept in the log, of which the oldest go first; counts are not affected.
    package var logCountMax: Int

    /// A customer and whether its card pays.
    package struct Customer: Sendable {
        package var id: String
        package var email: String
        package var isDeclined: Bool

        package init(id: String, email: String, isDeclined: Bool = false) {
            self.id = id
            self.email = email
            self.isDeclined = isDeclined
        }
    }

    package init(apiKey: String? = nil) {
        self.apiKey = apiKey
        webhookURL = nil
        webhookSecrets = []
        webhookDelays = [.seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(15), .seconds(30)]
        webhookAccepts = 200...299
        customers = [
            Customer(id: "cus_abc", email: "ada@example.com"),
            Customer(id: "cus_declined", email: "bob@example.com", isDeclined: true),
        ]
        channels = ["#payments-alerts", "C0PAYMENTS"]
        logCountMax = 10_000
    }
}
