"""What is kept: Optuna's storage made safe, the ledger, leases and locks."""
