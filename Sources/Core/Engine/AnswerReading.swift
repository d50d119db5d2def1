import Values
import Workflow

/// Converts the body of a response to the value that expressions see.
enum AnswerReading {
    /// The body by its content type, or as text or bytes if the step says so.
    static func value(of bytes: [UInt8], contentType: String?, reading: ResponseRule.Reading) -> Value {
        switch reading {
        case .typed: BodyReader.value(of: bytes, contentType: contentType)
        case .text: bytes.isEmpty ? .null : .string(String(decoding: bytes, as: UTF8.self))
        case .bytes: bytes.isEmpty ? .null : Value(bytes: bytes)
        }
    }

    /// Why a body does not match its content type; nil if it is readable or empty.
    static func problem(in bytes: [UInt8], contentType: String?) -> String? {
        guard !bytes.isEmpty else { return nil }
        do throws(BodyProblem) {
            _ = try BodyReader.read(bytes, contentType: contentType)
            return nil
        } catch {
            return error.message(about: "the answer")
        }
    }
}
