/// Indexes runs that took longer than a day, so that retention finds them without scanning open runs beside
/// them.
///
/// Most runs are shorter and add nothing to the index. The bound is ``RunRecord/longDuration``, in
/// microseconds.
enum M0003IndexLongRuns {
    static let migration = Migration(
        number: 3, name: "index_long_runs",
        sql: """
            CREATE INDEX run_long ON run (finished_at_us) WHERE finished_at_us - started_at_us > 86400000000
            """)
}
