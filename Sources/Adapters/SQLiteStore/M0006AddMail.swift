/// Adds mail, and marks the workflows that the ends of runs start.
enum M0006AddMail {
    static let migration = Migration(
        number: 6, name: "add_mail",
        sql: """
            CREATE TABLE mail (
                tenant_id INTEGER NOT NULL,
                key TEXT NOT NULL,
                body BLOB NOT NULL,
                at_us INTEGER NOT NULL,
                PRIMARY KEY (tenant_id, key)
            ) STRICT, WITHOUT ROWID;
            ALTER TABLE workflow ADD COLUMN listens_to_runs INTEGER NOT NULL DEFAULT 0;
            CREATE INDEX workflow_listening ON workflow (tenant_id, name)
            WHERE listens_to_runs = 1 AND is_deleted = 0;
            """)
}
