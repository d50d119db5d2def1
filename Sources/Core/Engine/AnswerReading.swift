import Values
import Workflow

/// How expressions see the body of an answer.
enum AnswerReading {
    /// By its content type, unless the step takes it as it came.
    static func value(of bytes: [UInt8], contentType: String?, reading: ResponseRule.Reading) -> Value {
        switch reading {
        case .typed: BodyReader.value(of: bytes, contentType: contentType)
        case .text: bytes.isEmpty ? .null : .string(String(decoding: bytes, as: UTF8.self))
        case .bytes: bytes.isEmpty ? .null : Value(bytes: bytes)
        }
    }

    /// Why a body is not what its content type says; nil for what can be read, and for an empty one.
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
