"""The storage of studies: Optuna's storage made safe, the ledger, leases and locks."""
