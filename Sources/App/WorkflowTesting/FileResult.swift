import Values
package import Workflow

/// How the cases of one file went.
package struct FileResult: Sendable {
    package var path: String
    package var source: [UInt8]
    /// Why the file's cases could not be run; empty where they could.
    package var problems: [Problem]
    package var workflowPath: String?
    package var results: [CaseResult]
    package var coverage: Coverage?

    /// Reads and runs a file.
    ///
    /// - Parameters:
    ///   - path: As messages show it.
    ///   - source: Its text.
    ///   - filter: Only cases whose name holds this text; nil for all.
    ///   - reader: Reads the workflow.
    ///   - load: The bytes of the file of a path; nil where it cannot be read.
    package init(
        path: String, source: [UInt8], filter: String?, reader: WorkflowReader,
        loading load: TestFileReader.Loader
    ) {
        self.path = path
        self.source = source
        let (file, problems) = TestFileReader.read(source, path: path, with: reader, loading: load)
        self.problems = problems
        guard let file else {
            results = []
            return
        }
        workflowPath = file.workflowPath
        let runner = CaseRunner(file.definition)
        results = file.cases.filter { one in filter.map { one.name.contains($0) } ?? true }.map {
            runner.run($0)
        }
        var trace = Trace()
        for result in results { trace.merge(result.traces) }
        coverage = Coverage(file.definition, trace)
    }

    package var passedCount: Int { results.filter(\.hasPassed).count }
    /// A file that cannot be read counts as one.
    package var failedCount: Int { problems.hasErrors ? 1 : results.count - passedCount }
}
