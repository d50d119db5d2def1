/// What to do about a refusal of the server, by its code.
enum RefusalHint {
    static func text(for code: String, status: Int, hasKey: Bool) -> String? {
        if status == 401 {
            return hasKey
                ? "check --key-file, MILLRACE_KEY or MILLRACE_KEY_FILE: the key is misspelt, revoked, or "
                    + "another server's"
                : "give a key with --key-file, MILLRACE_KEY or MILLRACE_KEY_FILE; `millrace init` prints the "
                    + "operator's first one"
        }
        return hints[code]
    }

    static let hints: [String: String] = [
        "balance_depleted": "`millrace buy MINUTES` prints the address of the checkout",
        "checkout_failed": "`millrace run ID` with the operator's key shows what the checkout run did",
        "digest_differs": "`millrace workflows diff` shows what changed; then deploy with the new digest",
        "key_not_found": "`millrace tenants keys TENANT` lists its keys",
        "not_triggerable":
            "add `- type: http` under `triggers:`, or start it by what it listens to: `millrace workflows NAME`",
        "operator_only": "use the operator's key, which `millrace init` printed",
        "run_not_found": "`millrace runs` lists the runs that this key can see",
        "run_not_over": "`millrace explain RUN` shows what it waits for",
        "run_over": "`millrace retry RUN` or `millrace fork RUN --from STEP` starts another run",
        "scope": "use a full key: an internal key is for the operator's workflows",
        "secret_not_found": "`millrace secrets list` lists their names",
        "step_unknown": "`millrace run RUN` lists the steps",
        "tenant_not_found": "`millrace tenants list` lists them",
        "version_not_found": "`millrace workflows versions NAME` lists them",
        "workflow_not_found": "`millrace workflows` lists those in service",
    ]
}
