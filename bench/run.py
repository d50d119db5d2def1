#!/usr/bin/env python3
"""Measures Millrace against the C references on this machine, in one run: see README.md in this folder."""

import argparse
import sys

sys.dont_write_bytecode = True  # leave nothing beside the sources

import pathlib
import shlex
import signal
import subprocess
import tempfile
from statistics import median

import children
from children import Failed
from figures import Report, best
from millrace_side import Millrace

ROOT = children.HERE.parent
BUILT = ROOT / ".build" / "bench"
PROGRAMS = {
    "ceiling": ["sqlite3", "libcurl"], "intake": ["sqlite3", "libmicrohttpd"], "journal_probe": ["sqlite3"]}
PARTS = ["first_run", "loaded", "alone", "through_api", "intake", "memory_10000", "recovery", "fan_out", "sleepers",
         "timers", "signals", "waiting_recovery", "history"]
KIB_PER_MIB = 1024


def build():
    """Compiles the C programs. Raises Failed with the compiler's own words."""
    BUILT.mkdir(parents=True, exist_ok=True)
    for name, packages in PROGRAMS.items():
        flags = tool(["pkg-config", "--cflags", "--libs", *packages])
        tool(["cc", "-O2", "-Wall", "-Wextra", "-o", BUILT / name, children.HERE / f"{name}.c",
              children.HERE / "measure.c", *shlex.split(flags), "-lpthread"])


def tool(command):
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120)
    except FileNotFoundError:
        raise Failed(f"{command[0]} is not installed") from None
    if done.returncode != 0:
        raise Failed(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout


class Bench:
    """One run of all measurements; every file it makes lives in `folder`."""

    def __init__(self, options, folder, url):
        self.options, self.folder, self.url = options, pathlib.Path(folder), url
        self.rounds = 2 if options.quick else 5
        # Of what is compared pair by pair: many short rounds, so that a disturbed one counts as one of many.
        self.pairs = 5 if options.quick else 15
        self.millrace = Millrace(options.millrace)
        self.report = Report()
        self.files = 0

    def file(self):
        """A name for a new database."""
        self.files += 1
        return self.folder / f"{self.files}.db"

    def drop(self, db):
        for path in self.folder.glob(db.name + "*"):
            path.unlink()

    def on_new_file(self, measure):
        db = self.file()
        try:
            return measure(db)
        finally:
            self.drop(db)

    def ceiling(self, runs, in_flight):
        return self.on_new_file(lambda db: children.run_json(
            [BUILT / "ceiling", "--runs", runs, "--in-flight", in_flight, "--url", self.url, "--db", db, "--json"]))

    def steps(self, runs, in_flight, through_api=False):
        return self.on_new_file(lambda db: self.millrace.steps(runs, in_flight, self.url, db, through_api))

    def alternate(self, title, *sides, rounds=None):
        """Runs the sides in turn, several rounds; returns each side's results. Says what it does on stderr."""
        results = [[] for _ in sides]
        rounds = rounds or self.rounds
        for turn in range(rounds):
            print(f"  {title}: round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
            for side, kept in zip(sides, results):
                kept.append(side())
        return results

    def measure(self, *parts):
        """Runs each part; one that fails becomes a figure that does not hold, and the others still run."""
        for part in parts:
            try:
                part()
            except Failed as problem:
                print(f"  {part.__name__}: {problem}", file=sys.stderr, flush=True)
                self.report.missing(part.__name__, "-", str(problem)[-120:])

    # -- the parts ----------------------------------------------------------------------------------------

    def loaded(self):
        runs = 6000
        least, ours = self.alternate(
            "64 in flight", lambda: self.ceiling(runs, 64), lambda: self.steps(runs, 64), rounds=self.pairs)
        add, add_paired = self.report.add, self.report.add_paired
        add_paired("steps_per_s_64", ours, least, "steps_per_s", "steps/s", at_least=0.5)
        add_paired("cpu_per_1000_steps_64", ours, least, "cpu_s_per_1000_steps", "CPU s", most=2.5)
        for side in (least, ours):
            for one in side:
                one["flushes_per_step"] = one["flushes"] / one["steps"]
                one["tail"] = one["step_p99_ms"] / one["step_p50_ms"]
        add("flushes_per_step_64", median(one["flushes_per_step"] for one in ours), "flushes",
            median(one["flushes_per_step"] for one in least), ratio=False, most=0.15)
        add_paired("step_p50_64", ours, least, "step_p50_ms", "ms")
        # Of the least disturbed round: one pause of the machine is in the tail, whatever the program does.
        add("step_p99_over_p50_64", best(ours, "tail"), "times", best(least, "tail"), ratio=False, most=2)
        add("memory_64", max(one["max_rss_kib"] for one in ours) / KIB_PER_MIB, "MiB",
            max(one["max_rss_kib"] for one in least) / KIB_PER_MIB, ratio=False, most=50)

    def alone(self):
        runs = 600
        least, ours = self.alternate(
            "one at a time", lambda: self.ceiling(runs, 1), lambda: self.steps(runs, 1), rounds=self.pairs)
        self.report.add_paired("run_p50_alone", ours, least, "run_p50_ms", "ms", most=2)
        self.report.add("run_p50_alone_best", best(ours, "run_p50_ms"), "ms", best(least, "run_p50_ms"))
        self.report.add_paired("run_p99_alone", ours, least, "run_p99_ms", "ms")

    def through_api(self):
        runs = 3000 if self.options.quick else 10000
        least, ours, single = self.alternate(
            "through the API", lambda: self.ceiling(runs, 64), lambda: self.steps(runs, 64, True),
            lambda: self.steps(300, 1, True))
        self.report.add(
            "steps_per_s_64_api", best(ours, "steps_per_s"), "steps/s", best(least, "steps_per_s"))
        self.report.add("cpu_per_1000_steps_64_api", best(ours, "cpu_s_per_1000_steps"), "CPU s",
                        best(least, "cpu_s_per_1000_steps"))
        self.report.add("run_p50_alone_api", best(single, "run_p50_ms"), "ms")

    def intake(self):
        seconds = 2 if self.options.quick else 4

        def hooks(serve):
            def measured(db):
                with serve(db) as service:
                    return children.wrk(service.first_line, seconds)
            return lambda: self.on_new_file(measured)

        reference = hooks(lambda db: children.Service([BUILT / "intake", "--port", 0, "--db", db]))
        product = hooks(lambda db: self.millrace.intake(children.free_port(), db))
        least, ours = self.alternate("webhook intake", reference, product, rounds=1 + self.pairs // 2)
        self.report.add_paired("intake_per_s_64", ours, least, "per_s", "hooks/s", at_least=0.5)
        self.report.add_paired("intake_p99", ours, least, "p99_ms", "ms")

    def memory_10000(self):
        print("  10,000 in flight", file=sys.stderr, flush=True)
        result = self.steps(20000, 10000)
        self.report.add("memory_10000", result["max_rss_kib"] / KIB_PER_MIB, "MiB", most=100)

    def first_run(self):
        (times,) = self.alternate(
            "first run", lambda: {"ms": self.on_new_file(lambda db: self.millrace.first_run_ms(self.url, db))})
        self.report.add("first_start_to_first_run", best(times, "ms"), "ms", most=100)

    def recovery(self):
        print("  recovery of 10,000 runs", file=sys.stderr, flush=True)
        ms = self.on_new_file(lambda db: self.millrace.recover_ms(10000, self.url, db))
        self.report.add("start_to_ready_10000", ms, "ms", most=5000)

    def fan_out(self):
        least, plain, fanned = self.alternate(
            "10,000-way fan-out", lambda: self.ceiling(4000, 64), lambda: self.steps(4000, 64),
            lambda: self.on_new_file(lambda db: self.millrace.fan_out(10_000, 256, self.url, db)),
            rounds=self.pairs // 2)
        if not all(one["succeeded"] for one in fanned):
            raise Failed(f"the run failed: {fanned[-1]['error']}")
        add_paired = self.report.add_paired
        # One run commits one decision at a time, so it needs more in flight than many runs do together.
        add_paired("fan_out_10000_steps_per_s", fanned, plain, "steps_per_s", "steps/s", at_least=0.9)
        add_paired("fan_out_10000_against_ceiling", fanned, least, "steps_per_s", "steps/s")
        add_paired("fan_out_10000_cpu_per_1000", fanned, plain, "cpu_s_per_1000_steps", "CPU s", most=1.2)
        self.report.add(
            "fan_out_10000_memory", max(one["max_rss_kib"] for one in fanned) / KIB_PER_MIB, "MiB", most=100)

    def sleepers(self):
        runs = 20_000 if self.options.quick else 100_000
        print(f"  {runs:,} sleeping runs", file=sys.stderr, flush=True)
        result = self.on_new_file(lambda db: self.millrace.sleepers(runs, db))
        self.report.add(f"memory_per_sleeping_run_{runs}", result["bytes_per_run"], "bytes", most=1024)

    def timers(self):
        (spread,) = self.alternate(
            "10,000 timers in one second", lambda: self.on_new_file(lambda db: self.millrace.timers(10_000, db)))
        (at_once,) = self.alternate(
            "10,000 timers at once", lambda: self.on_new_file(lambda db: self.millrace.timers(10_000, db, True)))
        if any(one["early"] for one in spread + at_once):
            raise Failed("a timer was early")
        self.report.add("timers_10000_late_p99", best(spread, "late_p99_ms"), "ms", most=250)
        self.report.add("timers_10000_late_p50", best(spread, "late_p50_ms"), "ms")
        self.report.add("timers_10000_at_once_late_p99", best(at_once, "late_p99_ms"), "ms")

    def signals(self):
        runs = 500 if self.options.quick else 2000
        direct, through_api, crowd = self.alternate(
            "signals", lambda: self.signal(runs, 1, False), lambda: self.signal(runs, 1, True),
            lambda: self.signal(runs, 64, True))
        self.report.add("signal_p99_api", best(through_api, "p99_ms"), "ms", most=10)
        self.report.add("signal_p50_api", best(through_api, "p50_ms"), "ms")
        self.report.add("signal_p99_api_64", best(crowd, "p99_ms"), "ms")
        self.report.add("signal_p99_in_process", best(direct, "p99_ms"), "ms")

    def signal(self, runs, in_flight, through_api):
        return self.on_new_file(lambda db: self.millrace.signals(runs, in_flight, through_api, db))

    def waiting_recovery(self):
        many = 100_000 if self.options.quick else 1_000_000
        print(f"  start over {many:,} waiting runs", file=sys.stderr, flush=True)
        ms = self.on_new_file(lambda db: self.millrace.recover_ms(many, "http://127.0.0.1:9/", db, waiting=True))
        self.report.add(f"start_to_ready_waiting_{many}", ms, "ms", most=5000)

    def history(self):
        many = 100_000 if self.options.quick else 1_000_000
        runs = 3000 if self.options.quick else 10000
        small, large = self.file(), self.file()
        try:
            print(f"  filling a file with {many:,} finished runs", file=sys.stderr, flush=True)
            self.millrace.fill_history(1000, small)
            self.millrace.fill_history(many, large)
            before, after = self.alternate(
                "history", lambda: self.millrace.steps(runs, 64, self.url, small),
                lambda: self.millrace.steps(runs, 64, self.url, large))
        finally:
            self.drop(small)
            self.drop(large)
        self.report.add(f"cpu_per_1000_steps_after_{many}", best(after, "cpu_s_per_1000_steps"), "CPU s",
                        best(before, "cpu_s_per_1000_steps"), most=1.2)
        self.report.add(f"steps_per_s_after_{many}", best(after, "steps_per_s"), "steps/s",
                        best(before, "steps_per_s"))


def reference_only(bench):
    """The C programs alone: what this machine can do."""
    runs = 6000 if bench.options.quick else 20000
    loaded, alone = bench.alternate("ceiling", lambda: bench.ceiling(runs, 64), lambda: bench.ceiling(runs // 10, 1))
    for name, rounds in (("64 in flight", loaded), ("one at a time", alone)):
        for key in ("steps_per_s", "cpu_s_per_1000_steps", "step_p50_ms", "step_p99_ms", "run_p50_ms", "run_p99_ms",
                    "max_rss_kib"):
            bench.report.add(f"{name} {key}", best(rounds, key), "")

    def hooks(db):
        with children.Service([BUILT / "intake", "--port", 0, "--db", db]) as service:
            return children.wrk(service.first_line, 2 if bench.options.quick else 5)

    (intake,) = bench.alternate("intake", lambda: bench.on_new_file(hooks))
    for key in ("per_s", "p50_ms", "p99_ms"):
        bench.report.add(f"intake {key}", best(intake, key), "")


def main():
    parser = argparse.ArgumentParser(description="Measures Millrace against the C references on this machine.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, shorter runs, 100,000 runs of history")
    parser.add_argument("--reference-only", action="store_true", help="measure the C programs alone")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part (may be repeated)")
    parser.add_argument("--millrace", default=ROOT / ".build" / "release" / "millrace", metavar="FILE")
    parser.add_argument("--out", default=ROOT / ".build" / "bench.json", metavar="FILE", type=pathlib.Path)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that children are ended and files removed
    parts = options.only or PARTS
    try:
        build()
        with tempfile.TemporaryDirectory(dir=BUILT, prefix="run-") as folder:
            pathlib.Path(folder).chmod(0o755)
            with children.StandIn(folder) as stand_in:
                bench = Bench(options, folder, stand_in.url)
                if options.reference_only:
                    reference_only(bench)
                else:
                    bench.measure(*(getattr(bench, part) for part in parts))
    except Failed as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 2
    print(bench.report.table())
    if options.reference_only:
        return 0
    options.out.parent.mkdir(parents=True, exist_ok=True)
    bench.report.write(options.out)
    return 0 if bench.report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
