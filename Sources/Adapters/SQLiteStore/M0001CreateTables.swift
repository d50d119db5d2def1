/// The first schema.
///
/// The primary key of each tenant's table starts with `tenant_id`, with two exceptions: a journal is reached
/// through its run, and a credit's reference is unique across tenants. Rising numbers lead the hot tables, so
/// that inserts stay at the right edge of each tree.
enum M0001CreateTables {
    static let migration = Migration(
        number: 1, name: "create_tables", sql: installation + runs + ledger + tenants + workflows)

    private static let installation = """
        CREATE TABLE shard_lease (
            shard INTEGER PRIMARY KEY,
            epoch INTEGER NOT NULL,
            -- The greatest run that retention has deleted: newer numbers than this are given.
            deleted_run_id INTEGER NOT NULL
        ) STRICT;
        INSERT INTO shard_lease (shard, epoch, deleted_run_id) VALUES (0, 0, 0);
        CREATE TABLE setting (name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

        """

    private static let runs = """
        CREATE TABLE run (
            tenant_id INTEGER NOT NULL,
            run_id INTEGER NOT NULL,
            workflow TEXT NOT NULL,
            digest BLOB NOT NULL,
            trigger TEXT NOT NULL,
            status TEXT NOT NULL,
            started_at_us INTEGER NOT NULL,
            finished_at_us INTEGER,
            -- When a waiting run goes on by itself.
            wake_at_us INTEGER,
            -- Set when the status changes; of an open run the journal tells.
            charged_ms INTEGER NOT NULL,
            PRIMARY KEY (tenant_id, run_id)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX run_open ON run (run_id) WHERE status IN ('running', 'paused');
        CREATE INDEX run_wake ON run (wake_at_us, run_id) WHERE status = 'waiting';
        CREATE INDEX run_waiting ON run (run_id, trigger) WHERE status = 'waiting';
        CREATE INDEX run_unsuccessful ON run (tenant_id, status, run_id) WHERE status IN ('failed', 'cancelled');

        -- A row is what one commit added to a run's journal: its entries, packed by EntryCoding.
        CREATE TABLE journal (
            tenant_id INTEGER NOT NULL,
            run_id INTEGER NOT NULL,
            -- Of its last entry. A commit that does not begin above all of these is refused.
            sequence INTEGER NOT NULL,
            entries BLOB NOT NULL,
            charge_ms INTEGER NOT NULL,
            -- The ledger entry that took the charge; 0 where nothing was taken.
            ledger_sequence INTEGER NOT NULL,
            PRIMARY KEY (run_id, sequence)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE dedupe_key (
            tenant_id INTEGER NOT NULL,
            workflow TEXT NOT NULL,
            key TEXT NOT NULL,
            run_id INTEGER NOT NULL,
            fingerprint BLOB,
            stored_at_us INTEGER NOT NULL,
            PRIMARY KEY (tenant_id, workflow, key)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX dedupe_key_age ON dedupe_key (stored_at_us) WHERE tenant_id <> 1;

        """

    private static let ledger = """
        CREATE TABLE ledger_entry (
            tenant_id INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            kind TEXT NOT NULL,
            amount_ms INTEGER NOT NULL,
            balance_ms INTEGER NOT NULL,
            reference TEXT,
            run_id INTEGER,
            at_us INTEGER NOT NULL,
            previous_hash BLOB NOT NULL,
            hash BLOB NOT NULL,
            PRIMARY KEY (tenant_id, sequence)
        ) STRICT, WITHOUT ROWID;
        -- REPLACE deletes without firing the trigger for deletion.
        CREATE TRIGGER ledger_entry_is_never_replaced BEFORE INSERT ON ledger_entry
        WHEN EXISTS (SELECT 1 FROM ledger_entry WHERE tenant_id = NEW.tenant_id AND sequence = NEW.sequence)
        BEGIN SELECT RAISE(ABORT, 'a ledger entry is never replaced'); END;
        CREATE TRIGGER ledger_entry_is_never_updated BEFORE UPDATE ON ledger_entry
        BEGIN SELECT RAISE(ABORT, 'a ledger entry is never changed'); END;
        CREATE TRIGGER ledger_entry_is_never_deleted BEFORE DELETE ON ledger_entry
        BEGIN SELECT RAISE(ABORT, 'a ledger entry is never deleted'); END;

        CREATE TABLE credit_reference (
            reference TEXT NOT NULL PRIMARY KEY,
            tenant_id INTEGER NOT NULL,
            sequence INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        -- REPLACE deletes without firing the trigger for deletion.
        CREATE TRIGGER credit_reference_is_never_replaced BEFORE INSERT ON credit_reference
        WHEN EXISTS (SELECT 1 FROM credit_reference WHERE reference = NEW.reference)
        BEGIN SELECT RAISE(ABORT, 'the reference of a credit is never replaced'); END;
        CREATE TRIGGER credit_reference_is_never_updated BEFORE UPDATE ON credit_reference
        BEGIN SELECT RAISE(ABORT, 'the reference of a credit is never changed'); END;
        CREATE TRIGGER credit_reference_is_never_deleted BEFORE DELETE ON credit_reference
        BEGIN SELECT RAISE(ABORT, 'the reference of a credit is never deleted'); END;

        -- What retention took from a usage entry's journal, so that its sum can still be checked.
        CREATE TABLE pruned_charge (
            tenant_id INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            charge_ms INTEGER NOT NULL,
            PRIMARY KEY (tenant_id, sequence)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE depletion (
            tenant_id INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            balance_ms INTEGER NOT NULL,
            at_us INTEGER NOT NULL,
            PRIMARY KEY (tenant_id, sequence)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE purchase (
            tenant_id INTEGER NOT NULL,
            purchase_id INTEGER NOT NULL,
            minutes INTEGER NOT NULL,
            price_minor INTEGER NOT NULL,
            currency TEXT NOT NULL,
            state TEXT NOT NULL,
            credited_reference TEXT,
            created_at_us INTEGER NOT NULL,
            PRIMARY KEY (tenant_id, purchase_id)
        ) STRICT, WITHOUT ROWID;
        CREATE UNIQUE INDEX purchase_id ON purchase (purchase_id);

        -- tenant_id is the caller's, who chose the key.
        CREATE TABLE idempotency (
            tenant_id INTEGER NOT NULL,
            scope TEXT NOT NULL,
            key TEXT NOT NULL,
            fingerprint BLOB NOT NULL,
            answer TEXT NOT NULL,
            answer_tenant_id INTEGER,
            answer_sequence INTEGER,
            answer_purchase_id INTEGER,
            stored_at_us INTEGER NOT NULL,
            PRIMARY KEY (tenant_id, scope, key)
        ) STRICT, WITHOUT ROWID;

        """

    private static let tenants = """
        CREATE TABLE tenant (
            tenant_id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            external_customer_id TEXT,
            created_at_us INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE api_key (
            tenant_id INTEGER NOT NULL,
            key_id INTEGER NOT NULL,
            scope TEXT NOT NULL,
            secret_hash BLOB NOT NULL,
            created_at_us INTEGER NOT NULL,
            revoked_at_us INTEGER,
            PRIMARY KEY (tenant_id, key_id)
        ) STRICT, WITHOUT ROWID;
        CREATE UNIQUE INDEX api_key_id ON api_key (key_id);
        CREATE TABLE secret (
            tenant_id INTEGER NOT NULL,
            name TEXT NOT NULL,
            version INTEGER NOT NULL,
            sealed BLOB NOT NULL,
            -- One host a line.
            hosts TEXT NOT NULL,
            updated_at_us INTEGER NOT NULL,
            PRIMARY KEY (tenant_id, name)
        ) STRICT, WITHOUT ROWID;

        """

    private static let workflows = """
        CREATE TABLE workflow (
            tenant_id INTEGER NOT NULL,
            name TEXT NOT NULL,
            number INTEGER NOT NULL,
            is_deleted INTEGER NOT NULL,
            PRIMARY KEY (tenant_id, name)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE workflow_version (
            tenant_id INTEGER NOT NULL,
            name TEXT NOT NULL,
            number INTEGER NOT NULL,
            digest BLOB NOT NULL,
            source BLOB NOT NULL,
            deployed_at_us INTEGER NOT NULL,
            PRIMARY KEY (tenant_id, name, number)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX workflow_version_digest ON workflow_version (tenant_id, digest);
        CREATE TABLE trigger_refusal (
            tenant_id INTEGER NOT NULL,
            workflow TEXT NOT NULL,
            reason TEXT NOT NULL,
            count INTEGER NOT NULL,
            last_at_us INTEGER NOT NULL,
            last_detail TEXT NOT NULL,
            PRIMARY KEY (tenant_id, workflow, reason)
        ) STRICT, WITHOUT ROWID;
        """
}
