"""The generator process: plays one shard of a step's clients and reports on its pipe."""
