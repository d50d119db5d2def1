"""How the benchmark drives Millrace: the only place that knows its hidden `bench` commands."""

import time

import children


class Millrace:
    """The release binary. Every method raises children.Failed when it cannot do its part."""

    def __init__(self, binary):
        self.binary = binary

    def steps(self, runs, in_flight, url, db, through_api=False):
        """Runs three-step workflows and returns the same keys as the ceiling. `db` may hold finished runs."""
        more = ["--through-api"] if through_api else []
        return self._json("steps", "--runs", runs, "--in-flight", in_flight, "--url", url, "--db", db, *more, "--json")

    def recover_ms(self, runs, url, db, waiting=False):
        """From process start to ready, with `runs` open runs in the file, all under way or all waiting."""
        more = ["--waiting"] if waiting else []
        self._json("recover", "--fill", "--runs", runs, "--db", db, "--url", url, *more, seconds=300)
        return self._timed("recover", "--db", db, "--url", url)

    def first_run_ms(self, url, db):
        """From process start to the first finished run, on a file that does not exist yet."""
        return self._timed("first-run", "--db", db, "--url", url)

    def fill_history(self, runs, db):
        """Makes a file that holds `runs` finished runs."""
        self._json("history", "--runs", runs, "--db", db, "--json", seconds=300)

    def fan_out(self, items, in_flight, url, db):
        """One run with a request for each item."""
        return self._json("fan-out", "--runs", items, "--in-flight", in_flight, "--url", url, "--db", db)

    def sleepers(self, runs, db):
        """What each of so many sleeping runs costs in memory."""
        return self._json("sleepers", "--runs", runs, "--db", db)

    def timers(self, runs, db, at_once=False):
        """How late so many timers are that are due within one second, or at the same instant."""
        return self._json("timers", "--runs", runs, "--db", db, *(["--at-once"] if at_once else []))

    def signals(self, runs, in_flight, through_api, db):
        """How long signals take, each to a run of its own that waits out of memory."""
        more = ["--through-api"] if through_api else []
        return self._json("signals", "--runs", runs, "--in-flight", in_flight, "--db", db, *more)

    def intake(self, port, db):
        """A server for webhooks; its first line is the hook's URL."""
        return children.Service([self.binary, "bench", "intake", "--port", port, "--db", db])

    def _timed(self, *arguments):
        """Milliseconds from before the process exists to after it has ended, which it does once it is done."""
        begin = time.monotonic()
        self._json(*arguments)
        return (time.monotonic() - begin) * 1000

    def _json(self, *arguments, seconds=120):
        return children.run_json([self.binary, "bench", *arguments], seconds)
