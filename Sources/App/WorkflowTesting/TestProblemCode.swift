/// Every kind of problem of a test file; listed in `docs/testing-workflows.md`.
enum TestProblemCode: String, CaseIterable {
    case noWorkflow = "MR2001"
    case brokenWorkflow = "MR2002"
    case missing = "MR2003"
    case unknownKey = "MR2004"
    case wrongType = "MR2005"
    case badValue = "MR2006"
    case unknownName = "MR2007"
    case duplicate = "MR2008"
}
