import Values

/// Checks of what a call to Stripe carries, naming the parameter that is wrong.
enum StripeParameters {
    private static let sessionNames: Set<String> = [
        "allow_promotion_codes", "automatic_tax", "billing_address_collection", "cancel_url",
        "client_reference_id",
        "consent_collection", "currency", "customer", "customer_creation", "customer_email",
        "customer_update",
        "discounts", "expand", "expires_at", "invoice_creation", "line_items", "locale", "metadata", "mode",
        "payment_intent_data", "payment_method_collection", "payment_method_options", "payment_method_types",
        "phone_number_collection", "redirect_on_completion", "return_url", "setup_intent_data",
        "shipping_address_collection",
        "submit_type",
        "subscription_data", "success_url", "tax_id_collection", "ui_mode",
    ]
    private static let chargeNames: Set<String> = [
        "amount", "capture", "currency", "customer", "description", "expand", "metadata", "receipt_email",
        "shipping", "source", "statement_descriptor", "statement_descriptor_suffix", "transfer_group",
    ]
    private static let customerNames: Set<String> = [
        "address", "description", "email", "expand", "metadata", "name", "phone", "shipping", "source",
    ]

    /// In seconds: the shortest and the longest time that a session may stay open.
    static let lifetimeMin: Int64 = 30 * 60
    static let lifetimeMax: Int64 = 24 * 3600

    private static let hostedModes = ["hosted", "hosted_page"]
    /// Forms that stand on the seller's own page.
    private static let embeddedModes = ["embedded", "embedded_page", "custom", "elements"]

    /// Whether the buyer is sent to a page of Stripe's.
    static func isHosted(_ body: Value) -> Bool { !embeddedModes.contains(text(body, "ui_mode") ?? "hosted") }

    /// Checks what is asked for at that second since 1970.
    static func checkSession(_ body: Value, at now: Int64) throws(StripeProblem) {
        try refuseUnknown(body, sessionNames)
        try refuseEmpty(body, ["customer", "customer_email", "customer_creation"])
        guard let mode = text(body, "mode") else { throw .missing("mode") }
        guard ["payment", "setup", "subscription"].contains(mode) else {
            throw .invalid("mode", "Invalid mode: must be one of payment, setup, or subscription")
        }
        try checkReturn(body)
        try checkExpiry(body, at: now)
        if mode != "setup" { try checkLines(body) }
        if text(body, "customer") != nil, text(body, "customer_creation") != nil {
            throw .invalid(
                "customer_creation",
                "You may only specify one of these parameters: customer, customer_creation.")
        }
        try checkMetadata(body)
    }

    static func checkCustomer(_ body: Value) throws(StripeProblem) {
        try refuseUnknown(body, customerNames)
        if let email = text(body, "email"), !email.contains("@") {
            throw .invalid("email", "Invalid email address: \(email)", code: "email_invalid")
        }
        try checkMetadata(body)
    }

    /// The amount in the currency's smallest unit.
    static func checkedCharge(_ body: Value) throws(StripeProblem) -> (amount: Int64, currency: String) {
        try refuseUnknown(body, chargeNames)
        try refuseEmpty(body, ["customer", "source"])
        guard let text = text(body, "amount") else { throw .missing("amount") }
        let amount = try integer(text, "amount", atLeast: 1)
        let currency = try currency(body["currency"], "currency")
        if self.text(body, "customer") == nil, self.text(body, "source") == nil {
            throw .invalid("source", "Must provide source or customer.", code: "parameter_missing")
        }
        try checkMetadata(body)
        return (amount, currency)
    }

    /// The sum of the lines and their currency; nil and nil for a session without lines.
    static func total(_ body: Value) -> (amount: Int64?, currency: String?) {
        guard let lines = body["line_items"]?.array else { return (nil, nil) }
        var sum: Int64 = 0
        for line in lines {
            let unit = line["price_data"]?["unit_amount"]?.string.flatMap { Int64($0) } ?? 1000
            let quantity = line["quantity"]?.string.flatMap { Int64($0) } ?? 1
            let (product, isTooLarge) = unit.multipliedReportingOverflow(by: quantity)
            sum = isTooLarge ? Int64.max / 200 : sum + min(product, Int64.max / 200)
        }
        return (sum, lines.first?["price_data"]?["currency"]?.string?.lowercased() ?? "eur")
    }

    /// A parameter that is given and not empty.
    static func text(_ body: Value, _ name: String) -> String? {
        guard let text = body[name]?.string, !text.isEmpty else { return nil }
        return text
    }

    // MARK: - Parts

    /// A hosted page leads to `success_url`, an embedded form to `return_url`, unless it never leads anywhere.
    private static func checkReturn(_ body: Value) throws(StripeProblem) {
        let mode = text(body, "ui_mode") ?? "hosted"
        guard (hostedModes + embeddedModes).contains(mode) else {
            throw .invalid(
                "ui_mode",
                "Invalid ui_mode: must be one of \((hostedModes + embeddedModes).joined(separator: ", "))")
        }
        let isHosted = isHosted(body)
        for name in isHosted ? ["return_url", "redirect_on_completion"] : ["success_url", "cancel_url"]
        where text(body, name) != nil {
            throw .invalid(name, "\(name) cannot be given with ui_mode \(mode).")
        }
        let redirects = text(body, "redirect_on_completion") ?? "always"
        guard ["always", "if_required", "never"].contains(redirects) else {
            throw .invalid(
                "redirect_on_completion",
                "Invalid redirect_on_completion: must be one of always, if_required, or never")
        }
        let needed = isHosted ? "success_url" : "return_url"
        if redirects == "never" {
            guard text(body, needed) == nil else {
                throw .invalid(needed, "\(needed) cannot be given with redirect_on_completion never.")
            }
            return
        }
        guard let address = text(body, needed) else { throw .missing(needed) }
        try checkURL(address, needed)
        if let cancel = text(body, "cancel_url") { try checkURL(cancel, "cancel_url") }
    }

    private static func checkExpiry(_ body: Value, at now: Int64) throws(StripeProblem) {
        guard let text = text(body, "expires_at") else { return }
        guard text.utf8.allSatisfy({ (48...57).contains($0) }), let expiry = Int64(text) else {
            throw .invalid("expires_at", "Invalid integer: \(text)", code: "parameter_invalid_integer")
        }
        guard expiry >= now + lifetimeMin else {
            throw .invalid("expires_at", "expires_at must be at least 30 minutes after the session is made.")
        }
        guard expiry <= now + lifetimeMax else {
            throw .invalid("expires_at", "expires_at must be at most 24 hours after the session is made.")
        }
    }

    private static func checkLines(_ body: Value) throws(StripeProblem) {
        guard let lines = body["line_items"]?.array, !lines.isEmpty else { throw .missing("line_items") }
        if lines.count > 100 { throw .invalid("line_items", "You may only specify up to 100 line items.") }
        for (index, line) in lines.enumerated() { try checkLine(line, "line_items[\(index)]") }
    }

    private static func checkLine(_ line: Value, _ name: String) throws(StripeProblem) {
        guard let quantity = text(line, "quantity") else { throw .missing("\(name)[quantity]") }
        _ = try integer(quantity, "\(name)[quantity]", atLeast: 1)
        if text(line, "price") != nil { return }
        guard let price = line["price_data"], price.object != nil else {
            throw .missing("\(name)[price_data]")
        }
        _ = try currency(price["currency"], "\(name)[price_data][currency]")
        guard let unit = text(price, "unit_amount") else {
            throw .missing("\(name)[price_data][unit_amount]")
        }
        _ = try integer(unit, "\(name)[price_data][unit_amount]", atLeast: 0)
        if text(price, "product") == nil, price["product_data"].flatMap({ text($0, "name") }) == nil {
            throw .missing("\(name)[price_data][product_data][name]")
        }
    }

    private static func refuseUnknown(_ body: Value, _ known: Set<String>) throws(StripeProblem) {
        for member in body.object?.members ?? [] where !known.contains(member.name) {
            throw .invalid(
                member.name, "Received unknown parameter: \(member.name)", code: "parameter_unknown")
        }
    }

    /// Empty means "unset" to Stripe, which what is only just made cannot do.
    private static func refuseEmpty(_ body: Value, _ names: [String]) throws(StripeProblem) {
        for name in names where body[name] == "" {
            throw .invalid(
                name, "You passed an empty string for '\(name)'; leave it out instead.",
                code: "parameter_invalid_empty")
        }
    }

    private static func checkMetadata(_ body: Value) throws(StripeProblem) {
        guard let given = body["metadata"] else { return }
        guard let metadata = given.textMap else { throw .invalid("metadata", "Invalid hash") }
        if metadata.count > 50 { throw .invalid("metadata", "Metadata can have up to 50 keys.") }
        for member in metadata.members {
            let name = "metadata[\(member.name)]"
            guard let text = member.value.string else {
                throw .invalid(name, "Metadata values must be strings.")
            }
            if member.name.count > 40 { throw .invalid(name, "Metadata keys can have up to 40 characters.") }
            if text.count > 500 { throw .invalid(name, "Metadata values can have up to 500 characters.") }
        }
    }

    private static func checkURL(_ text: String, _ name: String) throws(StripeProblem) {
        guard text.hasPrefix("https://") || text.hasPrefix("http://") else {
            throw .invalid(name, "Not a valid URL", code: "url_invalid")
        }
    }

    private static func currency(_ value: Value?, _ name: String) throws(StripeProblem) -> String {
        guard let text = value?.string, !text.isEmpty else { throw .missing(name) }
        let lower = text.lowercased()
        guard lower.utf8.count == 3, lower.utf8.allSatisfy({ (97...122).contains($0) }) else {
            throw .invalid(name, "Invalid currency: \(text)")
        }
        return lower
    }

    private static func integer(
        _ text: String, _ name: String, atLeast least: Int64
    ) throws(StripeProblem) -> Int64 {
        let isPlain = text.utf8.allSatisfy { (48...57).contains($0) || $0 == UInt8(ascii: "-") }
        guard isPlain, let number = Int64(text) else {
            throw .invalid(name, "Invalid integer: \(text)", code: "parameter_invalid_integer")
        }
        if number < least {
            throw .invalid(
                name, "This value must be greater than or equal to \(least).",
                code: "parameter_invalid_integer")
        }
        if number > 99_999_999 {
            throw .invalid(name, "Amount must be no more than 999,999.99", code: "amount_too_large")
        }
        return number
    }
}
