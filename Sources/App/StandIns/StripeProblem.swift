import Ports
import Values

/// Why Stripe refuses the parameters of a call; always 400 or 402, as an error object.
struct StripeProblem: Error {
    var status = 400
    var type = "invalid_request_error"
    var code: String?
    var parameter: String?
    var message: String

    static func missing(_ parameter: String) -> StripeProblem {
        StripeProblem(
            code: "parameter_missing", parameter: parameter, message: "Missing required param: \(parameter).")
    }

    static func invalid(_ parameter: String, _ message: String, code: String? = nil) -> StripeProblem {
        StripeProblem(code: code, parameter: parameter, message: message)
    }

    static func unknownObject(_ kind: String, _ id: String, parameter: String, status: Int = 400)
        -> StripeProblem
    {
        StripeProblem(
            status: status, code: "resource_missing", parameter: parameter,
            message: "No such \(kind): '\(id)'")
    }

    var response: InboundResponse {
        var error: Object = Object()
        error.append("type", .string(type))
        if let code {
            error.append("code", .string(code))
            error.append("doc_url", .string("https://stripe.com/docs/error-codes/\(code)"))
        }
        error.append("message", .string(message))
        if let parameter { error.append("param", .string(parameter)) }
        return .json(status, ["error": .object(error)])
    }
}
