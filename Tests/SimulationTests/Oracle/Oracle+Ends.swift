import Engine
import Storage
import Values

// Ends of runs that start others: each that was posted starts one run of the workflow that listens.

/// An end that a workflow is to hear of.
struct PostedEnd: Hashable {
    /// Whose end it is.
    var run: RunID
    var listener: String
}

extension Oracle {
    /// A commit was stored with mail.
    func note(_ mail: [Mail]) {
        for one in mail {
            guard let end = try? RunEnd(one) else {
                complain(.i4, "mail \(one.place.key) cannot be read")
                continue
            }
            postedEnds[PostedEnd(run: end.run, listener: end.listener)] = (
                one.place.tenant, digest(of: end.listener, one.place.tenant)
            )
        }
    }

    /// A run has begun.
    func checkCause(of known: KnownRun) {
        guard let cause = known.cause, known.origin == nil else { return }
        let end = PostedEnd(run: cause, listener: known.workflow)
        if let first = heardEnds[end] {
            complain(.i3, "\(known.run) and \(first) were both started by the end of \(cause)")
        }
        heardEnds[end] = known.run
        if runs[cause]?.tenant != known.tenant || runs[cause]?.finishedAt == nil {
            complain(.i10, "\(known.run) was started by the end of \(cause), which is none of its tenant")
        }
    }

    /// A log line: an end may be dropped where its first start has led to as many runs as may be, and says so.
    func noteDroppedEnd(_ line: [UInt8]) {
        guard Bytes.contains(line, "run_end.too_many_descendants"), let facts = try? JSON.parse(line),
            let words = facts["mail"]?.string?.dropFirst("run_end:".count).split(separator: "/"),
            words.count == 2, let run = RunID(String(words[0]))
        else { return }
        postedEnds[PostedEnd(run: run, listener: String(words[1]))] = nil
    }

    /// Nothing more is going to happen.
    func judgeEnds() {
        for (end, (tenant, digest)) in postedEnds where heardEnds[end] == nil {
            // Another version may listen no more, or to others.
            guard let digest, self.digest(of: end.listener, tenant) == digest else { continue }
            complain(.i5, "the end of \(end.run) was posted to \(end.listener), which has started nothing")
        }
    }

    private func digest(of workflow: String, _ tenant: TenantID) -> [UInt8]? {
        let live = (try? disk.workflow(workflow, of: tenant)) ?? nil
        // One that leaves out what comes above its limit may leave this out.
        guard let live, !Bytes.contains(live.source, "\"skip\"") else { return nil }
        return live.digest
    }
}
