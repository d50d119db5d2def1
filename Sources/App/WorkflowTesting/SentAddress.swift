import Values

/// Compares the addresses of a test with those of requests, which are in the form in which they are sent.
enum SentAddress {
    /// `http://host` is the same as `http://host/`; what is no URL is compared as it stands.
    static func isSame(_ written: String, as sent: String) -> Bool {
        written.hasSameBytes(as: sent) || form(of: written).hasSameBytes(as: sent)
    }

    static func form(of written: String) -> String {
        (try? WebAddress(written))?.text ?? written
    }
}
