/// Adds the suspension of tenants, and the reason of ledger entries that take minutes back.
enum M0004AddSuspension {
    static let migration = Migration(
        number: 4, name: "add_suspension",
        sql: """
            ALTER TABLE tenant ADD COLUMN suspended_at_us INTEGER;
            ALTER TABLE tenant ADD COLUMN suspension_reason TEXT;
            -- `keep` or `refuse`.
            ALTER TABLE tenant ADD COLUMN suspension_webhooks TEXT;
            CREATE INDEX tenant_suspended ON tenant (tenant_id) WHERE suspended_at_us IS NOT NULL;
            ALTER TABLE ledger_entry ADD COLUMN reason TEXT;
            """)
}
