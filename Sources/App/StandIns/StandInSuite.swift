package import Ports
import Values

/// All stand-ins together, each on a port of its own.
package struct StandInSuite: Sendable {
    package let stripe: StripeStandIn
    package let mollie: MollieStandIn
    package let resend: ResendStandIn
    package let slack: SlackStandIn
    package let orders: OrderStandIn
    package let stripeURL: String
    package let mollieURL: String
    package let resendURL: String
    package let slackURL: String
    package let ordersURL: String

    /// Starts a server for a handler on loopback and returns its port.
    package typealias Starter = @Sendable (any InboundHandler) throws -> UInt16

    /// Makes the stand-ins and starts each.
    ///
    /// Where one does not start, those before it stay up for whoever owns the servers to stop. The
    /// webhook settings of `options` would serve Stripe and Mollie alike: name each address later
    /// with `setWebhook`, once it is known.
    ///
    /// - Throws: What `start` throws.
    package init(
        clock: any RunClock, cryptography: any Cryptography, transport: any Transport,
        options: StandInOptions = StandInOptions(), start: Starter
    ) throws {
        stripe = StripeStandIn(
            clock: clock, cryptography: cryptography, transport: transport, options: options)
        mollie = MollieStandIn(
            clock: clock, cryptography: cryptography, transport: transport, options: options)
        resend = ResendStandIn(clock: clock, options: options)
        slack = SlackStandIn(clock: clock, options: options)
        orders = OrderStandIn(clock: clock, options: options)
        stripeURL = "http://127.0.0.1:\(try start(stripe))"
        mollieURL = "http://127.0.0.1:\(try start(mollie))"
        resendURL = "http://127.0.0.1:\(try start(resend))"
        slackURL = "http://127.0.0.1:\(try start(slack))"
        ordersURL = "http://127.0.0.1:\(try start(orders))"
    }

    /// Names and values for `millrace deploy --var`, as the workflows in this repository name them.
    package var variables: [(name: String, value: String)] {
        [
            ("stripe_url", stripeURL), ("mollie_url", mollieURL), ("resend_url", resendURL),
            ("slack_url", slackURL), ("orders_url", ordersURL),
        ]
    }
}
