/// What the seeds of `make test` must do at the least, so that they go on to show what they seem to show.
///
/// Each line was about a third of its count when it was written; `make simulate SEEDS=1-200` prints the counts.
enum Coverage {
    /// The seeds of which it is asked.
    static let seeds: ClosedRange<UInt64> = 1...200

    static let least: [(name: String, count: Int)] = table.split(separator: "\n").compactMap { line in
        let words = line.split(separator: " ", maxSplits: 1)
        guard words.count == 2, let count = Int(words[0]) else { return nil }
        return (words[1].drop { $0 == " " }.description, count)
    }

    private static let table = """
            70  buy 201
             2  buy 503
             2  buy 503 storage_full
             5  buy 504 checkout_slow
            35  cancel 202
            70  cancel 409 run_over
            70  cancel said again
            19  crash before a commit is answered
            18  crash before a commit is handed over
             8  crash before a request leaves
            14  crash before a transaction
            20  crash before an alarm is set
            25  crash before an answer
            35  crash killed
            10  crash while recovering
           440  credit
           230  credit 200
           220  credit 201
           100  credit said again
            65  delete 204
           130  delete 404 workflow_not_found
            25  depletion
             7  deploy 200
            60  deploy 201
           100  deploy said again
          2000  effect
           120  effect once more
             3  end child cancelled
             8  end child failed
            40  end child succeeded
            10  end fork cancelled
             9  end fork failed
           100  end fork succeeded
             6  end retry cancelled
            25  end retry failed
            14  end retry succeeded
            40  end of a run heard
            30  end run cancelled
           150  end run failed
           800  end run succeeded
             8  entry run.admitted
            40  entry run.cancel_requested
           240  entry run.finalizing
             7  entry run.finally_cut
          1100  entry run.finished
            50  entry run.held
            40  entry run.paused
            40  entry run.released
            30  entry run.resumed
          1100  entry run.started
            20  entry run.timed_out
          1000  entry signal.received
           230  entry step.attempt_failed
            40  entry step.calling
           430  entry step.failed
             6  entry step.failed of an undoing
           990  entry step.opened
           470  entry step.skipped
           310  entry step.sleeping
          4200  entry step.succeeded
            70  entry step.succeeded of an undoing
           410  entry step.waiting
            60  entry steps.in_flight
            20  fault clock set back
            10  fault crash while ending
           140  fault full disk
           530  fault late alarm
            25  fault lost answer of a commit
           180  fault network answerLost
           160  fault network doubled
           180  fault network outage
           190  fault network outageAfterWork
           170  fault network rateLimited
           170  fault network refused
           170  fault network requestLost
           160  fault network resetAfterWork
           150  fault network slow
            50  fault stall
            60  fault takeover
           100  fork 202
            25  fork 202 duplicate
             6  fork 422 step_unknown
            17  fork of a billing run
             3  fork of a child
             9  fork of a fork
            12  fork of an open run
             1  fork onto another version
            65  fork said again
            55  fork with copies
           420  list 200
           550  list said again
           680  look 200
            15  look said again
            25  misused key 409 idempotency_key_reused
             2  misused key 422 step_unknown
             5  misused key said again
            50  pause 202
           120  pause 409 run_over
            90  pause said again
           740  pry 404 run_not_found
            55  resume 202
            10  resume 409 run_over
            35  resume said again
            35  retry 202
            11  retry 202 duplicate
             5  retry 409 run_not_over
            35  retry 409 run_succeeded
             1  retry 409 undoing_failed
             1  retry of a child
             7  retry of a fork
            70  retry said again
            20  retry with copies
            30  secret 204
            25  secret said again
          2800  send
          1000  signal 202
           190  signal 202 duplicate
           790  signal 409 run_over
           800  signal said again
            45  trigger 200
            10  trigger 201
           260  trigger 202
           190  trigger 202 duplicate
            13  trigger 404 workflow_not_found
          1100  trigger said again
           220  webhook 202
           120  webhook 202 duplicate
           540  webhook said again
        """
}
