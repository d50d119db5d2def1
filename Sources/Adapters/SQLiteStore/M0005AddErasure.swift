/// Adds the erasure of tenants: when it began and when it ended.
enum M0005AddErasure {
    static let migration = Migration(
        number: 5, name: "add_erasure",
        sql: """
            ALTER TABLE tenant ADD COLUMN erasing_at_us INTEGER;
            ALTER TABLE tenant ADD COLUMN erased_at_us INTEGER;
            CREATE INDEX tenant_erasing ON tenant (tenant_id)
            WHERE erasing_at_us IS NOT NULL AND erased_at_us IS NULL;
            """)
}
