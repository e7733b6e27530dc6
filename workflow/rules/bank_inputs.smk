# Inputs and params of the rules in bank.smk.


def shards_option(wildcards):
    """Argument with the number of shards of a bank."""
    return f"--shards {STUDY.banks[wildcards.bank].shards}"
