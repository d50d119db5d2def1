/// The run that a retry or a fork was made out of, which a schedule does not count as its own.
///
/// Runs that were made before it have none; their journals tell, as those of all runs do.
enum M0002AddRunOrigin {
    static let migration = Migration(
        number: 2, name: "add_run_origin", sql: "ALTER TABLE run ADD COLUMN origin_run_id INTEGER")
}
