/// Adds the run that a retry or a fork was made from; such runs do not count as the schedule's own.
///
/// Older runs have no value; their origin is in their journals, as it is for all runs.
enum M0002AddRunOrigin {
    static let migration = Migration(
        number: 2, name: "add_run_origin", sql: "ALTER TABLE run ADD COLUMN origin_run_id INTEGER")
}
