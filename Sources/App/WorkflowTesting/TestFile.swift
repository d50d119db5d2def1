package import Engine
package import Ports
package import Values
package import Workflow

/// The cases of one `*.test.yaml`, read and checked against the workflow that they are about.
package struct TestFile: Sendable {
    /// As messages show it.
    package var path: String
    package var workflowPath: String
    package var definition: WorkflowDefinition
    package var cases: [TestCase]
}

/// One case: what starts a run, how the world answers it, and what must come of it.
package struct TestCase: Sendable {
    package var name: String
    package var mark: Mark
    package var trigger = TriggerGiven()
    package var at = TestCase.standardStart
    package var tenant = TenantGiven()
    package var secrets: [String: String] = [:]
    package var vars = Object()
    package var mocks: [Mock] = []
    package var signals: [SignalGiven] = []
    package var cancel: CancelGiven?
    package var expected: [Expectation] = []

    /// Gives nothing and expects nothing.
    package static let empty = TestCase(name: "", mark: Mark(line: 1, column: 1))

    /// 2026-01-01T00:00:00Z.
    static let standardStart = Instant(milliseconds: 1_767_225_600_000)
}

/// What starts the run.
package struct TriggerGiven: Sendable {
    /// A `type` of the format; nil for the workflow's only one.
    package var kind: String?
    package var event: String?
    /// Nil where `raw` says it byte by byte.
    package var body: Value?
    package var raw: [UInt8]?
    package var headers: [HTTPHeader] = []
    /// A name with several values stands in it several times.
    package var query: [(name: String, value: String)] = []
    package var signature: SignatureGiven?
}

extension Value {
    /// The bytes that `{base64: "…"}` stands for in a test file; nil for anything else.
    var givenBytes: [UInt8]? {
        guard let object, object.count == 1, let text = object["base64"]?.string else { return nil }
        return Base64.decode(text)
    }
}

/// A signature that the runner computes over the body.
package struct SignatureGiven: Sendable {
    package enum Scheme: Sendable {
        /// `t=…,v1=…` over time, a dot and the body; the time may differ from the request's.
        case stripe(at: Instant?)
        case hmac(header: String, algorithm: String, prefix: String, isBase64: Bool)
    }

    package var scheme: Scheme
    package var secret: String
}

/// The tenant that a case runs as.
package struct TenantGiven: Sendable {
    package var id = TenantID(number: 3)
    package var name = "Acme"
    package var externalCustomerID: String?
}

/// Answers to the requests of one step, or to those that fit a method and an address.
package struct Mock: Sendable {
    package enum Target: Sendable {
        case step(String)
        /// Upper case, and an address that may end with `*`.
        case request(method: String, url: String)
    }

    package var target: Target
    /// One after the other.
    package var answers: [MockAnswer]
    package var mark: Mark
    /// Given for the whole file: a case need not use it.
    package var isDefault: Bool
}

/// One answer of a mock, and after what time it comes.
package struct MockAnswer: Sendable {
    package enum Reply: Sendable {
        case response(Result<OutboundResponse, TransportFailure>)
        /// How a child ends.
        case child(RunOutcome)
        /// There is no child.
        case notCalled(StepError)
    }

    package var reply: Reply
    package var took: Duration
    /// How often it is given, from 1.
    package var times: Int
}

/// A signal that a case sends to the run.
package struct SignalGiven: Sendable {
    /// After the start of the run.
    package var after: Duration
    package var name: String
    package var body: Value
    package var id: String?
}

/// A cancel that a case gives to the run.
package struct CancelGiven: Sendable {
    package var after: Duration
    package var reason: String
}

/// One thing that a case expects, with the place where it says so.
package struct Expectation: Sendable {
    package enum Fact: Sendable {
        case trigger(String)
        case dedupe(Value)
        case outcome(String)
        case output(Value)
        case error(code: String?, step: String?, message: String?)
        case step(String, state: String)
        case requests([RequestExpected])
        case calls([CallExpected])
        case elapsed(atLeast: Duration?, atMost: Duration?)
        case reply(Value)
        /// Nil if there was nothing to undo.
        case compensation(String?)
        /// Nil if there are no `finally` steps.
        case finally(String?)
    }

    package var fact: Fact
    package var mark: Mark
}

/// What one request must be; what is nil may be anything.
package struct RequestExpected: Sendable {
    package var mark: Mark
    package var step: String?
    package var attempt: Int?
    package var method: String?
    package var url: String?
    /// When it was sent, counted from the start of the run.
    package var after: Duration?
    /// These among others.
    package var headers: [HTTPHeader] = []
    /// A text is the exact body; anything else is the value that the body carries.
    package var body: Value?
}

/// What one call must be; what is nil may be anything.
package struct CallExpected: Sendable {
    package var mark: Mark
    package var step: String?
    package var workflow: String?
    package var input: Value?
    package var isDetached: Bool?
}
